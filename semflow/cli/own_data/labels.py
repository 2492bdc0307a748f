"""The ids of label files: counted, and where a file holds colours, translated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.cli.own_data.classes import Color, NamedClass
from semflow.core.errors import UserError
from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import load_image, read_label

ID_MODES = ("1", "L", "P")
"""Pillow's modes of files that hold ids, which a folder's reader takes as they are."""
COLOR_MODES = ("RGB", "RGBA")


@dataclass
class LabelSurvey:
    """What the label files hold.

    Args:
        pixels: How many pixels of each id, in the order of ids.
        palette: The colour of each id of indexed files; empty for others.
        sizes: (height, width) of each label.
        as_they_are: Whether all files hold one byte a pixel and can serve unchanged.
    """

    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    palette: dict[int, Color] = field(default_factory=dict)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    as_they_are: bool = True

    @property
    def ids(self) -> list[int]:
        """Those that occur."""
        return [int(one) for one in np.flatnonzero(self.pixels)]


def survey(labels: Iterable[Path], classes: Sequence[NamedClass]) -> LabelSurvey:
    """Reads label files.

    Args:
        labels: The files.
        classes: Of the user's file; needed where labels hold colours.

    Raises:
        UserError: As `label_ids`.
    """
    found = LabelSurvey()
    for path in labels:
        image = _opened(path)
        ids = label_ids(path, image, classes)
        found.pixels += np.bincount(ids.reshape(-1), minlength=256)
        found.sizes.append((ids.shape[0], ids.shape[1]))
        found.as_they_are &= image.mode in ID_MODES
        if image.mode == "P" and not found.palette:
            colors = image.getpalette("RGB") or []
            found.palette = {
                number: (colors[at], colors[at + 1], colors[at + 2])
                for number, at in enumerate(range(0, len(colors) - 2, 3))
            }
    return found


def translated(path: Path, classes: Sequence[NamedClass]) -> NDArray[np.uint8]:
    """A label file's ids, (H, W) uint8, whatever kind it has.

    Raises:
        UserError: As `label_ids`.
    """
    return label_ids(path, _opened(path), classes)


def label_ids(path: Path, image: Image.Image, classes: Sequence[NamedClass]) -> NDArray[np.uint8]:
    """The ids of an opened label: (H, W) uint8.

    Args:
        path: The file, for errors.
        image: One byte or one bit a pixel, an indexed image, or colours.
        classes: With the colours, where it holds colours.

    Raises:
        UserError: It is unreadable, has 16 bits a pixel, or colours that the classes do not name.
    """
    if image.mode in ID_MODES:
        try:
            return read_label(path)
        except UnreadableSample as error:
            raise UserError(str(error)) from None
    if image.mode not in COLOR_MODES:
        raise UserError(
            f"{path} has mode {image.mode}; save labels with one byte a pixel, indexed or in RGB"
        )
    known = {one.color: one.id for one in classes if one.color is not None}
    if not known:
        raise UserError(
            f"{path} holds colours, not ids; say their classes with --classes FILE, "
            "a line RED GREEN BLUE NAME for each"
        )
    return _ids_of_colors(path, np.asarray(image.convert("RGB")), known)


def _ids_of_colors(
    path: Path, pixels: NDArray[np.uint8], known: dict[Color, int]
) -> NDArray[np.uint8]:
    codes = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, places = np.unique(codes, return_inverse=True)
    table = np.zeros(len(found), np.uint8)
    for number, code in enumerate(int(one) for one in found):
        color = (code >> 16, code >> 8 & 255, code & 255)
        if color not in known:
            raise UserError(
                f"{path} has the colour {' '.join(map(str, color))}, which is no class's; "
                "add it to --classes FILE, and --ignore its name if it is none"
            )
        table[number] = known[color]
    return table[places].reshape(pixels.shape[:2])


def _opened(path: Path) -> Image.Image:
    try:
        return load_image(path)
    except UnreadableSample as error:
        raise UserError(f"{path.parent}: {error}; replace it or remove it with its image") from None
