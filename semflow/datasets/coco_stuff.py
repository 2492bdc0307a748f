"""COCO-Stuff 164k: things and stuff in everyday scenes, 171 classes.

Caesar et al., COCO-Stuff: Thing and Stuff Classes in Context, CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.labels import IGNORE_INDEX, ClassTable
from semflow.datasets.base import Sample, held_out
from semflow.datasets.coco_stuff_classes import CATEGORIES
from semflow.datasets.files import map_ids, names_in, read_pair, require
from semflow.datasets.schema import CocoStuffIndex

SPLIT_FOLDERS = {"train": "train2017", "val": "train2017", "test": "val2017"}
"""The folder of each split: the labels of the official test images are withheld."""
LABELS = "stuffthingmaps_trainval2017"
IMAGE_ENDING = ".jpg"
ORIGIN = (
    "get train2017.zip and val2017.zip from cocodataset.org, and stuffthingmaps_trainval2017.zip, "
    "for a folder of its own name, from github.com/nightrome/cocostuff"
)

# A category's official id is its place counted from 1; the label files store one less.
KEPT = [(value, name, color) for value, (name, color) in enumerate(CATEGORIES) if color is not None]
CLASS_IDS = dict.fromkeys([*range(len(CATEGORIES)), IGNORE_INDEX], IGNORE_INDEX) | {
    value: class_id for class_id, (value, _, _) in enumerate(KEPT)
}


class CocoStuffReader:
    """`{train,val}2017/<key>.jpg` and `stuffthingmaps_trainval2017/{train,val}2017/<key>.png`."""

    classes = ClassTable(
        names=tuple(name for _, name, _ in KEPT),
        colors=tuple(color for _, _, color in KEPT),
        mirrored=tuple(range(len(KEPT))),
        background=None,
    )

    def __init__(self, raw: Path, params: CocoStuffIndex) -> None:
        """Args: raw: what the three downloads are unpacked into; params: what is held out of train.

        Raises:
            UserError: a folder is missing.
        """
        folders = dict.fromkeys(SPLIT_FOLDERS.values())
        require(raw, [*folders, *(f"{LABELS}/{folder}" for folder in folders)], ORIGIN)
        self._raw = raw
        self._params = params

    def files(self) -> list[Path]:
        """None: every file belongs to one sample."""
        return []

    def samples(self) -> Iterator[Sample]:
        """The images of `train2017` by number, then those of `val2017`."""
        for position, key in enumerate(self._keys("train")):
            yield Sample(key, held_out(position, self._params.val_every), {})
        yield from (Sample(key, "test", {}) for key in self._keys("test"))

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One scene: image (H, W, 3) uint8 and label (H, W) uint8; sizes vary."""
        folder = SPLIT_FOLDERS[sample.split]
        image, label = read_pair(
            self._raw / folder / f"{sample.key}{IMAGE_ENDING}",
            self._raw / LABELS / folder / f"{sample.key}.png",
        )
        return image, map_ids(label, CLASS_IDS)

    def _keys(self, split: str) -> list[str]:
        names = names_in(self._raw / SPLIT_FOLDERS[split], (IMAGE_ENDING,))
        return [name[: -len(IMAGE_ENDING)] for name in names]
