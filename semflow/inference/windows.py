"""Sliding windows: a network of one size applied all over a larger canvas, blended in overlaps.

Every network of a checkpoint sees its own size only. A solver's step takes the blended velocity of
all windows, so that neighbours agree at every step and not only in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil

import torch
from torch import Tensor

from semflow.core.errors import UserError

OVERLAP = 0.25
"""Least share of a window that lies in its neighbour, where nothing else is said."""


@dataclass(frozen=True)
class Windows:
    """Windows of one size that cover a canvas, in cells of the latents.

    Args:
        window: Height and width of each.
        canvas: Height and width of what they cover, at least the window's.
        tops: First row of each row of windows, increasing from 0.
        lefts: First column of each column of windows, increasing from 0.
    """

    window: tuple[int, int]
    canvas: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def over(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A function of one window's tensor, made one of the whole canvas's.

        Either side may be larger than the latents by a whole factor, as pixels are. Results are
        averaged with weights that fall linearly towards a window's border within its overlaps. A
        single window is the function itself, bit for bit.

        Args:
            function: (N, C, s h, s w) -> (N, D, r h, r w) for a window of h x w cells.
        """
        if len(self.tops) == len(self.lefts) == 1:
            return function

        def blended(x: Tensor) -> Tensor:
            total = weights = x.new_zeros(())
            for top, left in product(self.tops, self.lefts):
                part = function(_crop(x, self, top, left))
                scale = part.shape[-1] // self.window[1]
                if not total.shape:
                    size = [scale * extent for extent in self.canvas]
                    total = part.new_zeros(*part.shape[:2], *size)
                    weights = part.new_zeros(*size)
                ramp = self._ramp(scale).to(part)
                rows = slice(scale * top, scale * (top + self.window[0]))
                columns = slice(scale * left, scale * (left + self.window[1]))
                total[..., rows, columns] += ramp * part
                weights[rows, columns] += ramp
            return total / weights

        return blended

    def _ramp(self, scale: int) -> Tensor:
        """(scale h, scale w) float32: a window's weights, where its results are so much finer."""
        sides = zip(self.window, (self.tops, self.lefts), strict=True)
        down, across = (_fall(scale * extent, scale * _shared(extent, at)) for extent, at in sides)
        return down[:, None] * across


def windows_over(canvas: tuple[int, int], window: tuple[int, int], overlap: float) -> Windows:
    """As few windows as cover a canvas, spread evenly.

    Args:
        canvas: Height and width, cells, at least the window's.
        window: Height and width, cells.
        overlap: Least share of a window that lies in its neighbour, in [0, 1).

    Raises:
        UserError: The overlap is no such share.
    """
    if not 0 <= overlap < 1:
        raise UserError(f"the overlap must be a share of a window in [0, 1), got {overlap:g}")
    tops, lefts = (
        _starts(extent, side, overlap) for extent, side in zip(canvas, window, strict=True)
    )
    return Windows(window, canvas, tops, lefts)


def _starts(extent: int, side: int, overlap: float) -> tuple[int, ...]:
    stride = max(1, int(side * (1 - overlap)))
    count = 1 + ceil((extent - side) / stride)
    return tuple(round(i * (extent - side) / max(1, count - 1)) for i in range(count))


def _shared(extent: int, starts: tuple[int, ...]) -> int:
    """The widest overlap of neighbours, cells."""
    steps = [right - left for left, right in pairwise(starts)]
    return max(0, extent - min(steps, default=extent))


def _fall(extent: int, shared: int) -> Tensor:
    """(extent,) float32, 1 in the middle and falling over `shared` places towards both ends."""
    place = torch.arange(extent, dtype=torch.float32) + 0.5
    return (torch.minimum(place, extent - place) / max(shared, 0.5)).clamp(max=1.0)


def _crop(x: Tensor, windows: Windows, top: int, left: int) -> Tensor:
    scale = x.shape[-1] // windows.canvas[1]
    (height, width) = windows.window
    rows = slice(scale * top, scale * (top + height))
    return x[..., rows, scale * left : scale * (left + width)]
