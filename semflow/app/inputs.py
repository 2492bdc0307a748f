"""What the page is given: uploaded files, and the examples beside a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from semflow.core.errors import UserError
from semflow.datasets import files
from semflow.datasets.base import UnreadableSample

Picture = NDArray[np.uint8]
Pixels = TypeVar("Pixels")

FOLDER = "examples"
IMAGE_ENDING, LABEL_ENDING = "-image.png", "-label.png"


@dataclass(frozen=True)
class Example:
    """An image file that can be picked, and its label file where there is one."""

    name: str
    image: Path
    label: Path | None


def find_examples(checkpoint: Path, named: Path | None = None) -> list[Example]:
    """The examples of a checkpoint, in the order of their names.

    An example is `NAME-image.png`, with its ids in `NAME-label.png` if they are known.

    Args:
        checkpoint: Its folder; examples are looked for in `CHECKPOINT/examples` and then in
            `CHECKPOINT-examples`.
        named: The folder that the user names in place of these.

    Returns:
        None at all where there is no such folder.

    Raises:
        UserError: The folder that the user names holds no example.
    """
    checkpoint = checkpoint.resolve()
    beside = checkpoint.with_name(f"{checkpoint.name}-{FOLDER}")
    for folder in [named] if named else [checkpoint / FOLDER, beside]:
        found = [_example(path) for path in sorted(folder.glob(f"*{IMAGE_ENDING}"))]
        if found:
            return found
    if named:
        raise UserError(f"{named} holds no example; put files named *{IMAGE_ENDING} there")
    return []


def read_image(path: Path, size: Sequence[int]) -> Picture:
    """An image file at the model's size: cut in the middle to its proportions, then resized.

    Args:
        path: A PNG or JPEG of any size.
        size: Height and width of the model.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: The file is no such image.
    """
    pixels = _read(path, files.read_image)
    if pixels.shape[:2] == tuple(size):
        return pixels
    image = ImageOps.fit(Image.fromarray(pixels), (size[1], size[0]), Image.Resampling.LANCZOS)
    return np.asarray(image)


def read_label(path: Path, size: Sequence[int]) -> Picture:
    """Label ids (H, W) uint8 of a greyscale or indexed PNG of the model's size.

    Raises:
        UserError: The file is no such label.
    """
    label = _read(path, files.read_label)
    if label.shape != tuple(size):
        raise UserError(
            f"{path.name} is {label.shape[1]}x{label.shape[0]}, this model takes "
            f"{size[1]}x{size[0]}; resize it to the nearest pixel first"
        )
    return label


def _example(image: Path) -> Example:
    name = image.name.removesuffix(IMAGE_ENDING)
    label = image.with_name(f"{name}{LABEL_ENDING}")
    return Example(name, image, label if label.is_file() else None)


def _read(path: Path, reader: Callable[[Path], Pixels]) -> Pixels:
    try:
        return reader(path)
    except (UnreadableSample, OSError) as error:
        raise UserError(f"cannot take this file: {error}") from None
