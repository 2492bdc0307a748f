"""Stage `index`: the raw tree -> a checked list of samples."""

from semflow.core.files import tree_state
from semflow.core.resume import Alone, resumable
from semflow.datasets.readers import open_reader
from semflow.datasets.schema import IndexStage
from semflow.index.checking import write_index
from stages.entry import Folders, run_once


def main(dataset: str, params: IndexStage, folders: Folders) -> None:
    """Reads every sample once."""
    reader = open_reader(folders.raw.resolve(), params.index)
    # Another bound on the rejects does not change which samples are sound.
    values = params.model_dump(mode="json", exclude={"index": {"max_rejects"}})
    values["raw"] = tree_state(folders.raw)
    with resumable("index", dataset, values, [], Alone()) as work:
        write_index(reader, work.folder, folders.index, params.index.max_rejects)


if __name__ == "__main__":
    run_once(main, IndexStage)
