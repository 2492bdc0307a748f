"""Stage `index`: the raw tree -> a checked list of samples."""

from semflow.datasets.readers import open_reader
from semflow.params import DatasetParams
from semflow.shards.index import write_index
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Reads every sample once."""
    reader = open_reader(folders.raw, params.index)
    write_index(reader, folders.index, params.index.max_rejects)


if __name__ == "__main__":
    run(main)
