"""Stage `report`: metrics and samples -> one self-contained HTML page."""

from semflow.params.reading import read_block
from semflow.report.content import ReportInputs
from semflow.report.page import write_report
from semflow.report.schema import ReportStage
from stages.entry import Folders, run_once


def main(dataset: str, params: ReportStage, folders: Folders) -> None:
    """Writes the page, with the whole block of the data set as its listing of parameters."""
    inputs = ReportInputs(folders.metrics, folders.details, folders.pipeline, folders.shards)
    write_report(dataset, params.report, read_block(dataset), inputs, folders.report)


if __name__ == "__main__":
    run_once(main, ReportStage)
