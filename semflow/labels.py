"""What a label's ids mean beside the classes, and what a flip does to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IGNORE_INDEX = 255
"""The id of pixels without a class: never learned from, never counted."""


def mirror(label: NDArray[np.uint8], mirrored: Sequence[int]) -> NDArray[np.uint8]:
    """A label (H, W) flipped left to right; class c becomes mirrored[c]."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(mirrored)] = mirrored
    return table[label[:, ::-1]]
