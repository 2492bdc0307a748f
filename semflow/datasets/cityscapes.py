"""Cityscapes: street scenes of 50 cities, fine annotations, 19 classes.

Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016. Classes,
ids and colours: cityscapesScripts 2.3.0, helpers/labels.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX, ClassTable
from semflow.datasets.base import Sample, held_out
from semflow.datasets.files import map_ids, names_in, read_pair, require
from semflow.datasets.schema import CityscapesIndex

IMAGES = "leftImg8bit"
LABELS = "gtFine"
IMAGE_ENDING = "_leftImg8bit.png"
LABEL_ENDING = "_gtFine_labelIds.png"
# The labels of the download's own test split are withheld.
SPLIT_FOLDERS = {"train": "train", "val": "train", "test": "val"}
"""The folder of each split."""
ORIGIN = (
    "get leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from www.cityscapes-dataset.com"
)

# Name, display colour, id in the label files; in the order of their train ids.
CLASSES: tuple[tuple[str, tuple[int, int, int], int], ...] = (
    ("road", (128, 64, 128), 7),
    ("sidewalk", (244, 35, 232), 8),
    ("building", (70, 70, 70), 11),
    ("wall", (102, 102, 156), 12),
    ("fence", (190, 153, 153), 13),
    ("pole", (153, 153, 153), 17),
    ("traffic light", (250, 170, 30), 19),
    ("traffic sign", (220, 220, 0), 20),
    ("vegetation", (107, 142, 35), 21),
    ("terrain", (152, 251, 152), 22),
    ("sky", (70, 130, 180), 23),
    ("person", (220, 20, 60), 24),
    ("rider", (255, 0, 0), 25),
    ("car", (0, 0, 142), 26),
    ("truck", (0, 0, 70), 27),
    ("bus", (0, 60, 100), 28),
    ("train", (0, 80, 100), 31),
    ("motorcycle", (0, 0, 230), 32),
    ("bicycle", (119, 11, 32), 33),
)
# Ids without a train id. A license plate has id -1: the official tool leaves its polygon out, so
# that the car below shows; a tool that draws it stores 255, which is -1 in a byte.
IGNORED = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)
TRAIN_IDS = {
    label_id: train_id for train_id, (_, _, label_id) in enumerate(CLASSES)
} | dict.fromkeys(IGNORED, IGNORE_INDEX)


class CityscapesReader:
    """`{leftImg8bit,gtFine}/<split>/<city>/<key>_{leftImg8bit,gtFine_labelIds}.png`."""

    classes = ClassTable(
        names=tuple(name for name, _, _ in CLASSES),
        colors=tuple(color for _, color, _ in CLASSES),
        mirrored=tuple(range(len(CLASSES))),
        background=None,
    )

    def __init__(self, raw: Path, params: CityscapesIndex) -> None:
        """Args: raw: what the two downloads are unpacked into; params: what is held out of train.

        Raises:
            UserError: a folder is missing.
        """
        folders = dict.fromkeys(SPLIT_FOLDERS.values())
        require(raw, [f"{kind}/{name}" for kind in (IMAGES, LABELS) for name in folders], ORIGIN)
        self._raw = raw
        self._params = params

    def files(self) -> list[Path]:
        """None: every file belongs to one sample."""
        return []

    def samples(self) -> Iterator[Sample]:
        """City by city, frame by frame; those of the folder `val` are last."""
        for position, (city, key) in enumerate(self._frames("train")):
            yield Sample(key, held_out(position, self._params.val_every), {"city": city})
        for city, key in self._frames("val"):
            yield Sample(key, "test", {"city": city})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame: image (1024, 2048, 3) uint8 and label (1024, 2048) uint8 train ids."""
        place = Path(SPLIT_FOLDERS[sample.split], str(sample.place["city"]))
        image, label = read_pair(
            self._raw / IMAGES / place / f"{sample.key}{IMAGE_ENDING}",
            self._raw / LABELS / place / f"{sample.key}{LABEL_ENDING}",
        )
        return image, map_ids(label, TRAIN_IDS)

    def _frames(self, name: str) -> Iterator[tuple[str, str]]:
        """City and key of every frame of a folder, sorted."""
        folder = self._raw / IMAGES / name
        cities = sorted(path for path in folder.iterdir() if path.is_dir())
        if not cities:
            raise UserError(f"{folder} holds no city; unpack it again")
        for city in cities:
            for file in names_in(city, (IMAGE_ENDING.lower(),)):
                yield city.name, file[: -len(IMAGE_ENDING)]
