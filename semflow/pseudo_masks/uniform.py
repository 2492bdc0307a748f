"""Uniform float32 noise from many random words at once: the same bits as drawn one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 14
"""Words of 64 bits: 128 KiB, which malloc hands out again and again; larger memory comes from the
kernel page by page, and that costs more than what is done in it."""


def uniform_noise(generator: np.random.Generator, shape: Sequence[int]) -> NDArray[np.float32]:
    """`generator.random(shape, dtype=np.float32) * 2 - 1`, bit for bit and by the same draws.

    NumPy makes a float32 of the upper 24 of the next 32 bits (`next_float` of its distributions.c),
    one call a number. Words of 64 bits, taken many at once, hold two numbers each.

    Args:
        generator: Of Philox or PCG64; with others numbers are drawn one by one.
        shape: Of the result.

    Returns:
        float32 in [-1, 1).
    """
    out = np.empty(math.prod(shape), np.float32)
    bits = generator.bit_generator
    if not isinstance(bits, np.random.Philox | np.random.PCG64):
        return _one_by_one(generator, out).reshape(shape)
    # After an odd number of draws the second half of a word comes first.
    first = min(int(bits.state["has_uint32"]), out.size)
    last = out.size - (out.size - first) % 2
    _one_by_one(generator, out[:first])
    for start in range(first, last, 2 * _AT_ONCE):
        part = out[start : min(start + 2 * _AT_ONCE, last)]
        # The lower half of a word is drawn first, on machines of either byte order.
        halves = bits.random_raw(part.size // 2).astype("<u8", copy=False).view("<u4")
        halves >>= 8
        # 24 bits fit a signed number, which becomes a float32 in half the time.
        part[:] = halves.view("<i4")
        part *= np.float32(2**-23)
        part -= 1
    _one_by_one(generator, out[last:])
    return out.reshape(shape)


def _one_by_one(generator: np.random.Generator, out: NDArray[np.float32]) -> NDArray[np.float32]:
    out[:] = generator.random(out.size, dtype=np.float32)
    out *= 2
    out -= 1
    return out
