"""A few out of many, spread evenly."""

from __future__ import annotations

import numpy as np


def spread(count: int, wanted: int) -> list[int]:
    """Positions out of 0 .. count - 1, in order, both ends included.

    Args:
        count: how many there are.
        wanted: how many to take; all where there are not more.
    """
    return [int(position) for position in np.linspace(0, count - 1, min(count, wanted))]
