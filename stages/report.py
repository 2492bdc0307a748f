"""Stage `report`: metrics and samples -> one self-contained HTML page."""

from semflow.report.page import write_report
from semflow.schema import DatasetParams
from stages.entry import Folders, run_once


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Renders the page."""
    write_report(dataset, params, folders.metrics, folders.pipeline, folders.shards, folders.report)


if __name__ == "__main__":
    run_once(main)
