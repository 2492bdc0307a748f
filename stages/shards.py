"""Stage `shards`: the index -> pixel shards of images, labels and pseudo-masks."""

from semflow.datasets.readers import open_reader
from semflow.palette import make_palette
from semflow.params import DatasetParams
from semflow.shards.index import read_index
from semflow.shards.pixels import write_pixel_shards
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Resizes, colours and packs."""
    index = read_index(folders.index)
    palette = make_palette(params.palette, len(index.classes.names))
    reader = open_reader(folders.raw, params.index)
    write_pixel_shards(index, reader, palette, params.shards, folders.shards, folders.digests)


if __name__ == "__main__":
    run(main)
