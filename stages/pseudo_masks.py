"""Stage `pseudo_masks`: pixel shards -> shards of pseudo-masks, coloured by the palette."""

from semflow.core.labels import class_table
from semflow.core.resume import Alone, resumable
from semflow.pseudo_masks.coloring import ColoringWork, write_pseudo_mask_shards
from semflow.pseudo_masks.palette import make_palette
from semflow.pseudo_masks.schema import PseudoMasksStage
from semflow.shards.manifest import read_manifest
from stages.entry import Folders, run_once


def main(dataset: str, params: PseudoMasksStage, folders: Folders) -> None:
    """Colours every label."""
    classes = class_table(read_manifest(folders.shards / "train").about["classes"])
    palette = make_palette(params.palette, len(classes.names))
    values = params.model_dump(mode="json")
    with resumable("pseudo_masks", dataset, values, [folders.shards], Alone()) as work:
        coloring = ColoringWork(dataset, folders.shards, palette, work.folder)
        write_pseudo_mask_shards(coloring, folders.pseudo_masks)


if __name__ == "__main__":
    run_once(main, PseudoMasksStage)
