"""Reading a sample's own image and label files; what is wrong with one is said in one line."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.datasets.base import UnreadableSample

ID_MODES = ("L", "P")
"""Pillow's modes whose pixels are one byte, an id; of a palette image the colours are no matter."""


def load_image(path: Path) -> Image.Image:
    """An image file, decoded, in whatever mode it has.

    Raises:
        UnreadableSample: The file is missing, cut short or no image.
    """
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise UnreadableSample(f"{path.name} is missing") from None
    except (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error) as error:
        raise UnreadableSample(f"{path.name} is unreadable ({error})") from None
    except Image.DecompressionBombError as error:
        raise UnreadableSample(f"{path.name} is too large ({error})") from None
    return image


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB.

    Raises:
        UnreadableSample: the file is missing, cut short or no image.
    """
    return np.asarray(load_image(path).convert("RGB"))


def read_label(path: Path) -> NDArray[np.uint8]:
    """A label file as (H, W) uint8, the ids as they are stored.

    Raises:
        UnreadableSample: the file is missing, cut short or does not hold one byte for each pixel.
    """
    image = load_image(path)
    if image.mode not in ID_MODES:
        raise UnreadableSample(f"{path.name} has mode {image.mode}, a label has one id for a pixel")
    return np.asarray(image)


def read_pair(image: Path, label: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image file (H, W, 3) and its label file (H, W), uint8 both.

    Raises:
        UnreadableSample: as `read_image` and `read_label`, or the two differ in size.
    """
    ids, pixels = read_label(label), read_image(image)
    if pixels.shape[:2] != ids.shape:
        raise UnreadableSample(f"image is {pixels.shape[:2]} but its label {ids.shape}")
    return pixels, ids


def map_ids(label: NDArray[np.uint8], mapping: Mapping[int, int]) -> NDArray[np.uint8]:
    """Turns raw ids into class ids.

    Args:
        label: (H, W) uint8, raw ids.
        mapping: the class id, or 255 for ignore, of each raw id.

    Raises:
        UnreadableSample: an id that is not in the mapping.
    """
    unknown = np.setdiff1d(label, list(mapping))
    if unknown.size:
        raise UnreadableSample(f"label id {unknown[0]} is outside the mapping")
    table = np.zeros(256, np.uint8)
    table[list(mapping)] = list(mapping.values())
    return table[label]


def require(raw: Path, names: Iterable[str], origin: str) -> None:
    """Makes sure that a raw tree has what its reader opens.

    Args:
        raw: the data set's folder.
        names: files and folders in it.
        origin: where a user gets them.

    Raises:
        UserError: one is missing: which, where to get it and where it goes.
    """
    for name in names:
        if not (raw / name).exists():
            raise UserError(
                f"{raw / name} is missing; {origin}; they go into {raw} (a link will do)"
            )


def names_in(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Names of a folder's files with one of the endings (small letters), sorted; none hidden.

    Raises:
        UserError: there is no such file.
    """
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    )
    if not names:
        raise UserError(f"{folder} holds no file named *{' or *'.join(endings)}; unpack it again")
    return names
