"""Arrays side by side as one picture, and labels in colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GUTTER = 2
NO_CLASS_COLOR = (127, 127, 127)
"""Grey, since a class of its own is what these pixels do not have."""


def picture_grid(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Rows of equally large (H, W, 3) uint8 pictures with white gutters of two pixels."""
    height, width, _ = rows[0][0].shape
    columns = max(map(len, rows))
    grid = np.full(
        (len(rows) * (height + GUTTER) - GUTTER, columns * (width + GUTTER) - GUTTER, 3),
        255,
        np.uint8,
    )
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = i * (height + GUTTER), j * (width + GUTTER)
            grid[y : y + height, x : x + width] = picture
    return grid


def color_table(
    colors: Sequence[Sequence[float]], no_class: Sequence[float] = NO_CLASS_COLOR
) -> NDArray[np.uint8]:
    """Colours by label id, (256, 3) uint8, so that IGNORE_INDEX has one too.

    Args:
        colors: K colours, grey levels, in class order.
        no_class: the colour of all other ids.
    """
    table = np.full((256, 3), no_class, np.uint8)
    table[: len(colors)] = np.rint(np.asarray(colors).reshape(-1, 3))
    return table
