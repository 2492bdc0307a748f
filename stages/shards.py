"""Stage `shards`: the index -> pixel shards of images, labels and pseudo-masks."""

from semflow.core.files import tree_state
from semflow.core.provenance import provenance_of
from semflow.core.scratch import held, scratch_path
from semflow.datasets.readers import open_reader
from semflow.index.listing import read_index
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams
from semflow.shards.pixels import PixelWork, write_pixel_shards
from stages.entry import Folders, run_once


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Resizes, colours and packs."""
    index = read_index(folders.index)
    palette = make_palette(params.palette, len(index.classes.names))
    reader = open_reader(folders.raw.resolve(), params.index)
    blocks = (params.index, params.palette, params.shards)
    values = {type(block).__name__: block.model_dump(mode="json") for block in blocks}
    made_of = provenance_of({**values, "raw": tree_state(folders.raw)}, [folders.index])
    scratch = scratch_path("shards", dataset, made_of.fingerprint())
    with held(scratch):
        work = PixelWork(index, reader, palette, params.shards, scratch)
        write_pixel_shards(work, folders.shards, folders.digests)


if __name__ == "__main__":
    run_once(main)
