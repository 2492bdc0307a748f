"""Two ways to do the same thing, timed in turn: the ratio of their times and how sure it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Timed = Callable[[], object]
RESAMPLES = 2000
SHARE = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as fast a thing is as what it is compared with.

    Args:
        median: Of the pairs.
        low: Lower end of the bootstrap interval of the median, that holds 95%.
        high: Its upper end.
        pairs: How many were timed.
    """

    median: float
    low: float
    high: float
    pairs: int


def compare(done: Timed, bare: Timed, pairs: int) -> Ratio:
    """Times both in turn; what slows the machine down for a while slows both.

    Args:
        done: What is measured.
        bare: What it is compared with.
        pairs: How often each is called, after a first call of each that is not timed.
    """
    seconds(done), seconds(bare)
    ratios = []
    for number in range(pairs):
        # By turns first: what the first call leaves warm helps both as often.
        first, second = (done, bare) if number % 2 else (bare, done)
        times = {first: seconds(first), second: seconds(second)}
        ratios.append(times[bare] / times[done])
    return ratio_of(ratios)


def ratio_of(ratios: Sequence[float]) -> Ratio:
    """The median of ratios and its bootstrap interval; the same for the same ratios."""
    found = np.asarray(ratios, np.float64)
    draws = np.random.default_rng(0).integers(len(found), size=(RESAMPLES, len(found)))
    medians: NDArray[np.float64] = np.median(found[draws], axis=1)
    low, high = np.quantile(medians, [(1 - SHARE) / 2, (1 + SHARE) / 2])
    return Ratio(float(np.median(found)), float(low), float(high), len(found))


def seconds(call: Timed) -> float:
    """How long a call takes by the clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
