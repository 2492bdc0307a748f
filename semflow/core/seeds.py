"""Which samples are taken, and what each draws: by seed and position alone, never by a state."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_ORDER_STREAM = 0
_DRAW_STREAM = 1
# Beyond all positions of the other streams.
_STEP_STREAM = 1 << 62


def sample_at(seed: int, position: int, count: int) -> int:
    """The sample at a position of the endless order.

    Epoch e is positions e*count .. (e+1)*count - 1 and holds every sample exactly once. Nothing
    else enters, so no worker, rank or resume point can change it.

    Args:
        seed: of the order.
        position: 0, 1, 2, ... over all epochs.
        count: samples of the split.

    Returns:
        an index in 0 .. count - 1.
    """
    epoch, place = divmod(position, count)
    return int(_permutation(seed, epoch, count)[place])


def draws_at(seed: int, position: int) -> np.random.Generator:
    """The generator of all random draws of the sample at a position."""
    return _generator(seed, _DRAW_STREAM, position)


def steps_at(seed: int, position: int) -> np.random.Generator:
    """The generator of what all samples of a training step share, by the first one's position."""
    return _generator(seed, _STEP_STREAM, position)


def spread(count: int, wanted: int) -> list[int]:
    """Positions out of 0 .. count - 1, in order, both ends included.

    Args:
        count: how many there are.
        wanted: how many to take; all where there are not more.
    """
    return [int(position) for position in np.linspace(0, count - 1, min(count, wanted))]


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    return _generator(seed, _ORDER_STREAM, epoch).permutation(count)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    # Philox is counter-based: any place of any stream costs the same to reach.
    return np.random.Generator(np.random.Philox(key=[seed, (number << 1) | stream]))
