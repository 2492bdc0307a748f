"""CelebAMask-HQ: 30,000 faces, 19 classes with background, labels of 512x512 for 1024x1024 images.

Lee et al., MaskGAN: Towards Diverse and Interactive Facial Image Manipulation, CVPR 2020. Order of
parts, colours and splits: github.com/switchablenorms/CelebAMask-HQ, face_parsing/
Data_preprocessing: g_mask.py, g_color.py, g_partition.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import ClassTable
from semflow.datasets.base import Sample, UnreadableSample, held_out
from semflow.datasets.files import read_image, require
from semflow.datasets.schema import CelebAMaskHQIndex

IMAGES = "CelebA-HQ-img"
PARTS = "CelebAMask-HQ-mask-anno"
MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
MAPPING_COLUMNS = ["idx", "orig_idx", "orig_file"]
IMAGES_PER_FOLDER = 2000
ORIGIN = "get CelebAMask-HQ.zip from github.com/switchablenorms/CelebAMask-HQ and take its contents"

BACKGROUND = 0
# Name and display colour. A part covers the parts before it.
CLASSES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("background", (0, 0, 0)),
    ("skin", (204, 0, 0)),
    ("nose", (76, 153, 0)),
    ("eye_g", (204, 204, 0)),
    ("l_eye", (51, 51, 255)),
    ("r_eye", (204, 0, 204)),
    ("l_brow", (0, 255, 255)),
    ("r_brow", (255, 204, 204)),
    ("l_ear", (102, 51, 0)),
    ("r_ear", (255, 0, 0)),
    ("mouth", (102, 204, 0)),
    ("u_lip", (255, 255, 0)),
    ("l_lip", (0, 0, 153)),
    ("hair", (0, 0, 204)),
    ("hat", (255, 51, 153)),
    ("ear_r", (0, 204, 204)),
    ("neck_l", (0, 51, 0)),
    ("neck", (255, 153, 51)),
    ("cloth", (0, 204, 0)),
)
# l_ and r_ are left and right, except in l_lip; ear_r and neck_l are earring and necklace.
MIRRORED = (0, 1, 2, 3, 5, 4, 7, 6, 9, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)

# CelebA's own splits, by the number of the photo there.
FIRST_VAL = 162_771
FIRST_TEST = 182_638
# Others go by the number of the image here.
FIRST_IMAGES = {"first_28000": 28_000, "first_27000": 27_000}


class CelebAMaskHQReader:
    """`CelebA-HQ-img/<k>.jpg` and `CelebAMask-HQ-mask-anno/<k // 2000>/<k:05d>_<part>.png`."""

    classes = ClassTable(
        names=tuple(name for name, _ in CLASSES),
        colors=tuple(color for _, color in CLASSES),
        mirrored=MIRRORED,
        background=BACKGROUND,
    )

    def __init__(self, raw: Path, params: CelebAMaskHQIndex) -> None:
        """Args: raw: the unpacked download; params: which split.

        Raises:
            UserError: a folder or the mapping file is missing.
        """
        require(raw, (IMAGES, PARTS, MAPPING_FILE), ORIGIN)
        self._raw = raw
        self._params = params

    def files(self) -> list[Path]:
        """The mapping to CelebA, which also lists the images."""
        return [self._raw / MAPPING_FILE]

    def samples(self) -> Iterator[Sample]:
        """Images part by part, by number; without an official val part it is held out of train."""
        every = self._params.val_every
        for part in ("train", "test") if every else ("train", "val", "test"):
            numbers = [k for k, original in self._mapping() if self._part(k, original) == part]
            if not numbers:
                raise UserError(
                    f"{self._raw / MAPPING_FILE} lists no image of the {part} part of split "
                    f"{self._params.split}; unpack the file again"
                )
            for position, number in enumerate(sorted(numbers)):
                split = part
                if every is not None and part == "train":
                    split = held_out(position, every)
                yield Sample(str(number), split, {})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One face: image (1024, 1024, 3) uint8 and label (512, 512) uint8."""
        image = read_image(self._raw / IMAGES / f"{sample.key}.jpg")
        label = self._compose(int(sample.key))
        (height, width), (rows, columns) = image.shape[:2], label.shape
        if height * columns != width * rows:
            raise UnreadableSample(
                f"image {image.shape[:2]} and label {label.shape} differ in form"
            )
        return image, label

    def _compose(self, number: int) -> NDArray[np.uint8]:
        """The label (H, W) of the parts that an image has."""
        folder = self._raw / PARTS / str(number // IMAGES_PER_FOLDER)
        label: NDArray[np.uint8] | None = None
        for class_id, (name, _) in enumerate(CLASSES):
            path = folder / f"{number:05d}_{name}.png"
            if class_id == BACKGROUND or not path.exists():
                continue
            # The official script reads a part as BGR and takes what is not 0 in the first channel.
            covered = read_image(path)[..., 2] != 0
            if label is None:
                label = np.full(covered.shape, BACKGROUND, np.uint8)
            if covered.shape != label.shape:
                raise UnreadableSample(f"{path.name} is {covered.shape}, other parts {label.shape}")
            label[covered] = class_id
        if label is None:
            raise UnreadableSample(f"{PARTS}/{folder.name} has no part of {number:05d}")
        return label

    def _mapping(self) -> Iterator[tuple[int, int]]:
        """For each image its number and the number of its photo in CelebA."""
        path = self._raw / MAPPING_FILE
        with path.open(encoding="utf-8") as lines:
            for count, line in enumerate(lines, start=1):
                columns = line.split()
                if not columns or columns == MAPPING_COLUMNS:
                    continue
                if len(columns) != 3 or not (columns[0].isdecimal() and columns[1].isdecimal()):
                    raise UserError(
                        f"{path}, line {count}: expected {' '.join(MAPPING_COLUMNS)}, "
                        f"got {line.strip()!r}; unpack the file again"
                    )
                yield int(columns[0]), int(columns[1])

    def _part(self, number: int, original: int) -> str:
        if self._params.split in FIRST_IMAGES:
            return "train" if number < FIRST_IMAGES[self._params.split] else "test"
        if original < FIRST_VAL:
            return "train"
        return "val" if original < FIRST_TEST else "test"
