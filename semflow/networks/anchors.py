"""How a decoded pseudo-mask is read: every pixel's distance to the colour of each class."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CELLS = 32
"""Of the colour grid, along each channel."""
LOW, HIGH = -1.25, 1.25
"""What the grid spans; a decoder's answers leave [-1, 1] by little, and what leaves the grid is
compared with every anchor."""
AT_ONCE = 1 << 14
"""Colours whose distances are held at a time."""


def unit_range_anchors(anchors: NDArray[np.float32]) -> Tensor:
    """Anchors (K, 3) float32, grey levels -> (K, 3) float32 in the autoencoder's range [-1, 1]."""
    return torch.from_numpy(anchors / 127.5 - 1)


def anchor_distances(image: Tensor, anchors: Tensor) -> Tensor:
    """Squared distance of every pixel to every anchor.

    Args:
        image: (N, 3, H, W) float in [-1, 1].
        anchors: (K, 3) in the same units.

    Returns:
        (N, K, H, W).
    """
    # |p - a|^2 expanded: a matrix product instead of an (N, K, 3, H, W) difference.
    cross = torch.einsum("nchw,kc->nkhw", image, anchors)
    pixel = image.square().sum(dim=1, keepdim=True)
    anchor = anchors.square().sum(dim=1)[None, :, None, None]
    return pixel - 2 * cross + anchor


def nearest_anchor(image: Tensor, anchors: Tensor) -> Tensor:
    """The class of every pixel: the anchor at the least distance in float64, the first of equals.

    Args:
        image: (N, 3, H, W) float, decoded; any finite number.
        anchors: (K, 3) in the same units, K up to 256.

    Returns:
        (N, H, W) uint8.
    """
    count, _, height, width = image.shape
    grid = _grid(tuple(map(tuple, anchors.tolist())), image.device)
    place = (image - LOW) * (CELLS / (HIGH - LOW))
    # Compared before it is rounded: what is no number lies in no cell.
    inside = ((place >= 0) & (place < CELLS)).all(dim=1).flatten()
    row, column, layer = place.int().clamp_(0, CELLS - 1).unbind(dim=1)
    cell = ((row * CELLS + column) * CELLS + layer).flatten()
    label = grid.label[cell]
    (doubtful,) = torch.where((label < 0) | ~inside)
    colors = image.permute(0, 2, 3, 1).reshape(-1, 3)[doubtful].double()
    known = inside[doubtful]
    answers = torch.empty_like(doubtful)
    rows = grid.few[-label[doubtful][known].long() - 1]
    answers[known] = _nearest_of(colors[known], grid.anchors, rows)
    everyone = torch.arange(len(anchors), device=image.device)[None]
    strangers = colors[~known]
    answers[~known] = _nearest_of(strangers, grid.anchors, everyone.expand(len(strangers), -1))
    label[doubtful] = answers.to(label.dtype)
    return label.to(torch.uint8).view(count, height, width)


class _Grid(NamedTuple):
    """For each cell of the colour cube the anchors that a colour in it can be nearest to.

    anchors: (K, 3) float64.
    label: (CELLS**3,) int32, the one anchor of a cell, or -1 - i for row i of `few`.
    few: (A, M) int64, anchors of a cell in order, its first one repeated to fill the row.
    """

    anchors: Tensor
    label: Tensor
    few: Tensor


@lru_cache(maxsize=8)
def _grid(colors: tuple[tuple[float, ...], ...], device: torch.device) -> _Grid:
    anchors = torch.tensor(colors, dtype=torch.float64)
    side = (HIGH - LOW) / CELLS
    middles = LOW + side * (torch.arange(CELLS, dtype=torch.float64) + 0.5)
    centers = torch.cartesian_prod(middles, middles, middles)
    # No colour is further from its cell's centre than this; a little more for the rounding that
    # may put a colour on a border into the cell beside it.
    reach = 1.001 * side * 3**0.5 / 2
    distances = torch.cdist(centers, anchors, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.min(dim=1, keepdim=True).values
    possible = distances <= nearest + 2 * reach
    label = possible.int().argmax(dim=1)
    counts = possible.sum(dim=1)
    (many,) = torch.where(counts > 1)
    # Numbers of the possible ones first, each row in order.
    order = possible[many].int().argsort(dim=1, descending=True, stable=True)
    few = order[:, : int(counts.max())].clone()
    filler = torch.arange(few.shape[1])[None] >= counts[many][:, None]
    few = torch.where(filler, few[:, :1], few)
    label[many] = -1 - torch.arange(len(many))
    return _Grid(anchors.to(device), label.int().to(device), few.to(device))


def _nearest_of(colors: Tensor, anchors: Tensor, rows: Tensor) -> Tensor:
    """(P,) int64: of each colour's own row of anchors the nearest, the first of equals.

    Args:
        colors: (P, 3) float64.
        anchors: (K, 3) float64.
        rows: (P, M) int64.
    """
    found = [
        part.gather(1, _squared(color, anchors[part]).argmin(dim=1, keepdim=True))[:, 0]
        for color, part in zip(colors.split(AT_ONCE), rows.split(AT_ONCE), strict=True)
    ]
    return torch.cat(found)


def _squared(colors: Tensor, others: Tensor) -> Tensor:
    """(P, M), squared distances of colours (P, 3) to rows of others (P, M, 3)."""
    red, green, blue = ((others[..., one] - colors[:, one, None]).square() for one in range(3))
    return red + green + blue
