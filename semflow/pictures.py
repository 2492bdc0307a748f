"""Arrays side by side as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GUTTER = 2


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
