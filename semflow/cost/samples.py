"""How many samples a data set has, and how large its own labels are, before it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from semflow.core.errors import UserError
from semflow.core.files import read_json
from semflow.cost.layers import Size
from semflow.datasets.earth import PIXELS_PER_DEGREE, VAL_OF_HELD_OUT
from semflow.datasets.schema import (
    CelebAMaskHQIndex,
    CityscapesIndex,
    CocoStuffIndex,
    EarthIndex,
    IndexParams,
    RobotsIndex,
)
from semflow.index.listing import HEADER

_CELEBA_PARTS = {
    "official": (24_183, 2_993, 2_824),
    "first_28000": (28_000, 0, 2_000),
    "first_27000": (27_000, 0, 3_000),
}


@dataclass(frozen=True)
class Samples:
    """Samples of each split.

    Args:
        train: Before any crops.
        val: Those that choices are made on.
        test: Those that figures are stated of.
        source: Where the numbers come from.
        native: Height and width of labels as the data set has them; None where they vary.
    """

    train: int
    val: int
    test: int
    source: str
    native: Size | None

    @property
    def measured(self) -> int:
        """Of val and test."""
        return self.val + self.test


def samples_of(dataset: str, index: IndexParams, folder: Path) -> Samples:
    """Out of the index where there is one, else as the data set's makers publish them.

    Sources: Cordts et al., Cityscapes, 2016; Lee et al., CelebAMask-HQ, 2020, with CelebA's own
    partition; Caesar et al., COCO-Stuff, 2018 (164k, that is COCO 2017).

    Args:
        dataset: Its name.
        index: How it is read.
        folder: Holds `index.json` once it is indexed.

    Raises:
        UserError: Only its index knows, and there is none.
    """
    native = _native(index)
    if (folder / HEADER).is_file():
        counts = read_json(folder / HEADER)["counts"]
        train, val, test = (int(counts.get(split, 0)) for split in ("train", "val", "test"))
        return Samples(train, val, test, f"counted in {folder.as_posix()}", native)
    match index:
        case CityscapesIndex():
            return _published(2_975, 0, 500, index.val_every, native)
        case CelebAMaskHQIndex():
            return _published(*_CELEBA_PARTS[index.split], index.val_every, native)
        case CocoStuffIndex():
            return _published(118_287, 0, 5_000, index.val_every, native)
        case RobotsIndex():
            split = index.samples
            return Samples(split.train, split.val, split.test, "params.yaml", native)
        case EarthIndex():
            source = f"at most; exactly after: dvc repro index@{dataset}"
            return Samples(*_tiles(index), source, native)
    raise UserError(
        f"how many samples {dataset} has is known once it is indexed; "
        f"run: dvc repro index@{dataset}"
    )


def _published(
    train: int, val: int, test: int, val_every: int | None, native: Size | None
) -> Samples:
    """With every n-th image of train, from the first on, held out as val."""
    held_out = 0 if val_every is None else math.ceil(train / val_every)
    return Samples(train - held_out, val + held_out, test, "as published", native)


def _tiles(index: EarthIndex) -> tuple[int, int, int]:
    """Places of tiles in train, val and test; those with too little land are among them."""
    south, north = (round((90 - degrees) * PIXELS_PER_DEGREE) for degrees in index.latitudes)
    found = {"train": 0, "val": 0, "test": 0}
    for block in range(360 // index.block_degrees):
        number, rest = divmod(block, index.hold_out_every)
        split = "train" if rest else "val" if number % VAL_OF_HELD_OUT == 1 else "test"
        width = index.block_degrees * PIXELS_PER_DEGREE - (0 if rest else 2 * index.gap)
        stride = getattr(index.stride, split)
        rows = range(north, south - index.tile_size + 1, stride)
        found[split] += len(rows) * len(range(0, width - index.tile_size + 1, stride))
    return found["train"], found["val"], found["test"]


def _native(index: IndexParams) -> Size | None:
    match index:
        case CityscapesIndex():
            return Size(1024, 2048)
        case CelebAMaskHQIndex():
            return Size(512, 512)
        case EarthIndex():
            return Size(index.tile_size, index.tile_size)
        case RobotsIndex():
            return Size(index.size, index.size)
    return None
