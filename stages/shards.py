"""Stage `shards`: the index -> pixel shards of images and labels."""

from semflow.core.files import tree_state
from semflow.core.resume import Alone, resumable
from semflow.datasets.readers import open_reader
from semflow.index.listing import read_index
from semflow.shards.pixels import PixelWork, write_pixel_shards
from semflow.shards.schema import ShardsStage
from stages.entry import Folders, run_once


def main(dataset: str, params: ShardsStage, folders: Folders) -> None:
    """Resizes and packs."""
    index = read_index(folders.index)
    reader = open_reader(folders.raw.resolve(), params.index)
    # The index holds the raw files' checksums; their times tell whether they are still the same.
    values = {**params.model_dump(mode="json"), "raw": tree_state(folders.raw)}
    with resumable("shards", dataset, values, [folders.index], Alone()) as work:
        write_pixel_shards(PixelWork(index, reader, params.shards, work.folder), folders.shards)


if __name__ == "__main__":
    run_once(main, ShardsStage)
