"""Bringing raw images and labels to the size of training: which part of them, and how."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.shards.schema import CropParams, ShardParams

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels of its label, both right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int


def whole(shape: tuple[int, int]) -> Window:
    """All of a label of the given height and width."""
    return Window(0, 0, shape[1], shape[0])


def windows(key: str, shape: tuple[int, int], params: ShardParams) -> tuple[Window, ...]:
    """The parts of a training sample that become samples of the shards.

    Args:
        key: the raw sample's.
        shape: height and width of its label.
        params: whether and how often to crop.
    """
    if params.crops is None:
        return (whole(shape),)
    return tuple(
        random_window(shape, params.image_size, crop_draws(params.crops, key, number))
        for number in range(params.crops.per_image)
    )


def crop_draws(params: CropParams, key: str, number: int) -> np.random.Generator:
    """What decides one crop: seed, key and number, and neither order nor size of the shards."""
    word = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return np.random.default_rng([params.seed, word, number])


def random_window(
    shape: tuple[int, int], size: tuple[int, int], draws: np.random.Generator
) -> Window:
    """A window with the proportions of a size, as large as fits, at a place drawn uniformly.

    For a square size it is a square of the image's full short side.

    Args:
        shape: height and width of the label.
        size: height and width of training.
        draws: two numbers are taken.
    """
    scale = min(shape[0] / size[0], shape[1] / size[1])
    height, width = (max(1, round(side * scale)) for side in size)
    top = int(draws.integers(shape[0] - height + 1))
    left = int(draws.integers(shape[1] - width + 1))
    return Window(left, top, left + width, top + height)


def crop_key(key: str, number: int) -> str:
    """Key of a sample's crop; the first keeps the sample's own."""
    return key if number == 0 else f"{key}-crop{number}"


def resize(
    image: NDArray[np.uint8], label: NDArray[np.uint8], window: Window, params: ShardParams
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Brings a part of both to one size: the image smoothly, the label by its nearest pixel.

    The label is resized before it is coloured: between two anchors lies a third class.

    Args:
        image: (H', W', 3) uint8; some data sets have it larger than the label.
        label: (H, W) uint8 ids.
        window: in pixels of the label.
        params: size and filter.
    """
    width_height = (params.image_size[1], params.image_size[0])
    box = (window.left, window.top, window.right, window.bottom)
    across, down = image.shape[1] / label.shape[1], image.shape[0] / label.shape[0]
    image_box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    resized = Image.fromarray(image).resize(width_height, FILTERS[params.image_filter], image_box)
    nearest = Image.fromarray(label).resize(width_height, Image.Resampling.NEAREST, box)
    return np.asarray(resized), np.asarray(nearest)
