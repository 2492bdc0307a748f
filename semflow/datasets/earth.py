"""Earth: NASA Blue Marble imagery and MODIS MCD12C1 land cover, cut into tiles.

Imagery: NASA Earth Observatory, Blue Marble Next Generation (5400 x 2700, equirectangular).
Labels: NASA/JPL MODIS MCD12C1 2019, IGBP scheme, 17 classes (7200 x 3600, the same frame).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.core.labels import ClassTable
from semflow.datasets.base import Sample
from semflow.datasets.schema import EarthIndex

FETCH = "dvc repro stages/dvc.yaml:raw@earth"
IMAGE_FILE = "bmng.jpg"
LABEL_FILE = "MCD12C1.A2019001.006.2020220162300.tif"
FORMATS = ("JPEG", "TIFF")
IMAGE_SIZE = (5400, 2700)  # width, height
LABEL_SIZE = (7200, 3600)
PIXELS_PER_DEGREE = IMAGE_SIZE[0] // 360

VAL_OF_HELD_OUT = 3
"""Of the held-out blocks 0, n, 2n, ... the second of every three is val; the others are test."""


class EarthReader:
    """Tiles of one planet, split by blocks of longitude that tiles of two splits never share."""

    def __init__(self, raw: Path, params: EarthIndex) -> None:
        """Args: raw: the folder that the `raw` stage fills; params: its classes, how to cut it.

        Raises:
            UserError: a raw file is missing.
        """
        self._raw = raw
        self._params = params
        self.classes = ClassTable(
            names=tuple(one.name for one in params.classes),
            colors=tuple(one.color for one in params.classes),
            mirrored=tuple(range(len(params.classes))),
            background=None,
        )
        for path in self.files():
            if not path.is_file():
                raise UserError(f"{path} is missing; fetch it with: {FETCH}")

    def files(self) -> list[Path]:
        """The imagery and the land cover."""
        return [self._raw / IMAGE_FILE, self._raw / LABEL_FILE]

    def samples(self) -> Iterator[Sample]:
        """Tiles with enough land, block by block, north to south, west to east.

        A tile's group is its block: tiles of one block are alike, and no two blocks are neighbours.
        """
        params = self._params
        south, north = (round((90 - degrees) * PIXELS_PER_DEGREE) for degrees in params.latitudes)
        block_width = params.block_degrees * PIXELS_PER_DEGREE
        label = self._planet_label()
        for block in range(360 // params.block_degrees):
            split = _split_of(block, params.hold_out_every)
            gap = 0 if split == "train" else params.gap
            stride = getattr(params.stride, split)
            west, east = block * block_width + gap, (block + 1) * block_width - gap
            for y in range(north, south - params.tile_size + 1, stride):
                for x in range(west, east - params.tile_size + 1, stride):
                    if np.mean(self._crop(label, y, x) != params.water) >= params.min_land:
                        place = {"y": y, "x": x, "group": block}
                        yield Sample(f"earth_{y:04d}_{x:04d}", split, place)

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One tile: image (S, S, 3) uint8 and label (S, S) uint8."""
        y, x = int(sample.place["y"]), int(sample.place["x"])
        image, label = self._planet_image(), self._planet_label()
        return self._crop(image, y, x), self._crop(label, y, x)

    def _crop(self, planet: NDArray[np.uint8], y: int, x: int) -> NDArray[np.uint8]:
        return planet[y : y + self._params.tile_size, x : x + self._params.tile_size]

    # The planet belongs to the process and not to the reader: a reader is sent along with every
    # task of a worker, which opens the planet once.
    def _planet_image(self) -> NDArray[np.uint8]:
        return _planet_image(*_version(self._raw / IMAGE_FILE))

    def _planet_label(self) -> NDArray[np.uint8]:
        merged = tuple(one.igbp for one in self._params.classes)
        return _planet_label(*_version(self._raw / LABEL_FILE), merged, self._params.mode_filter)


def _split_of(block: int, hold_out_every: int) -> str:
    """Split of a block of longitude, counted from 0."""
    number, rest = divmod(block, hold_out_every)
    if rest:
        return "train"
    return "val" if number % VAL_OF_HELD_OUT == 1 else "test"


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: its path, size and time."""
    found = path.stat()
    return path, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1)
def _planet_image(path: Path, _size: int, _time: int) -> NDArray[np.uint8]:
    return np.asarray(_open(path, IMAGE_SIZE).convert("RGB"))


@lru_cache(maxsize=1)
def _planet_label(
    path: Path, _size: int, _time: int, merged: tuple[tuple[int, ...], ...], mode_filter: int
) -> NDArray[np.uint8]:
    igbp = _open(path, LABEL_SIZE)
    table = np.zeros(256, np.uint8)
    for class_id, members in enumerate(merged):
        table[list(members)] = class_id
    # Nearest keeps ids whole; coastlines then match the imagery to the pixel.
    label = table[np.asarray(igbp.resize(IMAGE_SIZE, Image.Resampling.NEAREST))]
    planet = majority(label, len(merged), mode_filter)
    planet.setflags(write=False)  # tiles are views of it
    return planet


def majority(label: NDArray[np.uint8], num_classes: int, window: int) -> NDArray[np.uint8]:
    """The most frequent class in a square window around each pixel; the pixel's own wins a tie.

    Args:
        label: (H, W) uint8, ids below num_classes.
        num_classes: K.
        window: odd side of the window, pixels; edges are continued outward.

    Returns:
        (H, W) uint8.

    Raises:
        ValueError: an even window, which has no centre.
    """
    if window % 2 == 0:
        raise ValueError(f"mode_filter must be odd, got {window}")
    margin = window // 2
    best_votes = np.full(label.shape, -1, np.int32)
    winner = np.zeros_like(label)
    for class_id in range(num_classes):
        votes = 2 * _box_sum(np.pad(label == class_id, margin, mode="edge"), window)
        votes += label == class_id
        better = votes > best_votes
        best_votes[better] = votes[better]
        winner[better] = class_id
    return winner


def _box_sum(mask: NDArray[np.bool_], window: int) -> NDArray[np.int32]:
    """Sums over all windows that fit: (H + w - 1, W + w - 1) -> (H, W)."""
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int32), axis=1, out=integral[1:, 1:])
    return (
        integral[window:, window:]
        - integral[:-window, window:]
        - integral[window:, :-window]
        + integral[:-window, :-window]
    )


def _open(path: Path, size: tuple[int, int]) -> Image.Image:
    # Pillow's guard against decompression bombs is far below these known sizes.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, LABEL_SIZE[0] * LABEL_SIZE[1])
    try:
        image = Image.open(path, formats=FORMATS)
        image.load()
    except OSError as error:
        raise UserError(f"{path} is unreadable ({error}); delete it and run: {FETCH}") from None
    if image.size != size:
        raise UserError(f"{path} is {image.size[0]}x{image.size[1]}, expected {size[0]}x{size[1]}")
    return image
