"""What a label's ids mean: the classes, the ignored pixels, and what a flip does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORE_INDEX = 255
"""The id of pixels without a class: never learned from, never counted."""


def mirror(label: NDArray[np.uint8], mirrored: Sequence[int]) -> NDArray[np.uint8]:
    """A label (H, W) flipped left to right; class c becomes mirrored[c]."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(mirrored)] = mirrored
    return np.take(table, label[:, ::-1])


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set, in the order of their ids.

    Args:
        names: K names.
        colors: K display colours, grey levels; for pictures, not for the flow.
        mirrored: K ids; class c becomes mirrored[c] when an image is flipped left to right.
        background: id of a class that some protocols leave out of the mean over classes, or None.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    mirrored: tuple[int, ...]
    background: int | None


def class_table(value: Mapping[str, Any]) -> ClassTable:
    """A class table from its JSON form."""
    return ClassTable(
        names=tuple(value["names"]),
        colors=tuple((red, green, blue) for red, green, blue in value["colors"]),
        mirrored=tuple(value["mirrored"]),
        background=value["background"],
    )
