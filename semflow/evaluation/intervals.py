"""95% bootstrap intervals over groups of samples, such as blocks of longitude.

Tiles of one block are alike, so that the blocks, not the tiles, are what another choice of test
ground would have drawn anew. Each draw takes as many groups as there are, with replacement.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.evaluation.results import Interval
from semflow.metrics.resampled import resampled_distances

DRAWS = 1000
DISTANCE_DRAWS = 200
"""Of the distances: a second for Earth's hundred tiles, some minutes for 5,000 images."""
LEAST_GROUPS = 3
"""Fewer say nothing about how groups differ."""
PERCENTILES = (2.5, 97.5)


class Bootstrap:
    """Draws of groups, the same ones for every figure, so that figures can be compared.

    Args:
        groups: The group of each of N samples.
        seed: Of the draws.
    """

    def __init__(self, groups: Sequence[Hashable], seed: int) -> None:
        self._names, self._seed = tuple(groups), seed
        numbers: dict[Hashable, int] = {}
        self._groups = np.array([numbers.setdefault(name, len(numbers)) for name in groups], int)
        self.num_groups = len(numbers)

    def only(self, items: Sequence[int]) -> Bootstrap:
        """The draws for some of the samples."""
        return Bootstrap([self._names[item] for item in items], self._seed)

    def of_mean(self, values: Tensor) -> Interval:
        """Of the mean of values (N,)."""
        if self.num_groups < LEAST_GROUPS:
            return None
        sums = self._by_group(values.double().cpu().numpy())
        return _bounds(self._times @ sums / (self._times @ self._by_group(np.ones(len(values)))))

    def of_areas(self, areas: Tensor) -> tuple[Interval, Interval]:
        """Of mIoU and pixel accuracy.

        Args:
            areas: (N, 3, K) of each sample: see `semflow.metrics.confusion.areas_by_image`.
        """
        if self.num_groups < LEAST_GROUPS:
            return None, None
        by_group = self._by_group(areas.cpu().numpy().astype(np.float64))
        # Whole numbers below 2^53: sums are exact in any order.
        drawn = np.tensordot(self._times, by_group, axes=1)
        hits, labelled, predicted = drawn[:, 0], drawn[:, 1], drawn[:, 2]
        iou = _ratio(hits, labelled + predicted - hits)
        classes = np.isfinite(iou).sum(axis=1).astype(np.float64)
        miou = _ratio(np.nansum(iou, axis=1), classes)
        return _bounds(miou), _bounds(_ratio(hits.sum(axis=1), labelled.sum(axis=1)))

    def of_distances(self, features: Tensor, reference: Tensor) -> tuple[Interval, Interval]:
        """Of the Frechet and the kernel distance to a reference that stays as it is.

        A draw holds fewer different samples than the set, so that Frechet's bias upward, and with
        it the interval, is somewhat larger than the figure's own.

        Args:
            features: (N, D) of the samples.
            reference: (M, D).
        """
        if self.num_groups < LEAST_GROUPS:
            return None, None
        times = torch.from_numpy(self._times[:DISTANCE_DRAWS][:, self._groups])
        frechet, kernel = resampled_distances(features, reference, times)
        return _bounds(frechet.numpy()), _bounds(kernel.numpy())

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        """How often each draw takes each group: (DRAWS, groups)."""
        draws = np.random.default_rng(self._seed)
        taken = draws.integers(self.num_groups, size=(DRAWS, self.num_groups))
        times = np.zeros((DRAWS, self.num_groups), np.int64)
        np.add.at(times, (np.arange(DRAWS)[:, None], taken), 1)
        return times

    def _by_group(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values (N, ...) added up within each group."""
        sums = np.zeros((self.num_groups, *values.shape[1:]))
        np.add.at(sums, self._groups, values)
        return sums


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quotient that is nan where there is nothing below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: NDArray[np.float64] = above / below
    return quotient


def _bounds(values: NDArray[np.float64]) -> Interval:
    found = values[np.isfinite(values)]
    if not found.size:
        return None
    low, high = np.percentile(found, PERCENTILES)
    return float(low), float(high)
