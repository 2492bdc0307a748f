"""Labels to pseudo-masks (Eq. 7) and back by the nearest anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.errors import UserError
from semflow.labels import IGNORE_INDEX
from semflow.params.data import BaseKPalette, PaletteParams
from semflow.perturbation import Grain


@dataclass(frozen=True)
class Palette:
    """One colour, called an anchor, for each class.

    Args:
        anchors: (K, 3) float32, grey levels in [0, 255]; row c is the colour of class c.
        ignore_color: (3,) float32, grey levels; the colour of pixels without a class.
        amplitude: beta of Eq. 14, grey levels.
        grain: of the noise that the amplitude scales.

    Raises:
        ValueError: an amplitude that could carry a pixel over to another class.
    """

    anchors: NDArray[np.float32]
    ignore_color: NDArray[np.float32]
    amplitude: float
    grain: Grain

    def __post_init__(self) -> None:
        limit = largest_amplitude(self.anchors)
        if self.amplitude >= limit:
            raise ValueError(
                f"palette.amplitude = {self.amplitude} changes classes: "
                f"these anchors allow less than {limit:g} grey levels"
            )

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.anchors)

    def colorize(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label ids (..., H, W) uint8 -> pseudo-mask (..., H, W, 3) uint8 (Eq. 7).

        Raises:
            ValueError: an id that is neither a class nor IGNORE_INDEX.
        """
        table = np.full((256, 3), np.nan, np.float32)
        table[: self.num_classes] = self.anchors
        table[IGNORE_INDEX] = self.ignore_color
        unknown = np.setdiff1d(label, [*range(self.num_classes), IGNORE_INDEX])
        if unknown.size:
            raise ValueError(
                f"label id {unknown[0]} is outside 0..{self.num_classes - 1} and {IGNORE_INDEX}"
            )
        return np.rint(table[label]).astype(np.uint8)

    def anchor_tensor(self) -> Tensor:
        """Anchors (K, 3) float32 in the autoencoder's range [-1, 1]."""
        return torch.from_numpy(self.anchors / 127.5 - 1)


def make_palette(params: PaletteParams, num_classes: int) -> Palette:
    """The palette that params.yaml describes.

    Raises:
        UserError: its numbers contradict each other.
    """
    try:
        if isinstance(params, BaseKPalette):
            anchors = base_k_anchors(num_classes, params.k, params.spacing)
        else:
            anchors = spread_anchors(num_classes)
        if params.class_order:
            anchors = reorder(anchors, params.class_order)
        ignore_color = np.asarray(params.ignore_color, np.float32)
        grain = Grain(params.noise_cell, params.noise_share)
        return Palette(anchors, ignore_color, params.amplitude, grain)
    except ValueError as error:
        raise UserError(f"params.yaml: {error}") from None


def reorder(anchors: NDArray[np.float32], order: Sequence[int]) -> NDArray[np.float32]:
    """Gives class c the colour number order[c].

    Raises:
        ValueError: the order is no permutation of the classes.
    """
    if sorted(order) != list(range(len(anchors))):
        raise ValueError(f"palette.class_order is no permutation of 0..{len(anchors) - 1}")
    return anchors[list(order)]


def base_k_anchors(num_classes: int, k: int, spacing: float) -> NDArray[np.float32]:
    """Eq. 7: the class index in base k, one digit a channel, times the spacing.

    Returns:
        (K, 3) float32 grey levels.

    Raises:
        ValueError: more classes than k**3, or spacing * (k - 1) beyond 255.
    """
    if num_classes > k**3:
        raise ValueError(f"{num_classes} classes do not fit k = {k}: at most {k**3}; raise k")
    if spacing * (k - 1) > 255:
        raise ValueError(f"spacing * (k - 1) = {spacing * (k - 1):g} is beyond 255; lower one")
    c = np.arange(num_classes)
    digits = np.stack([c // k**2, c // k % k, c % k], axis=1)
    return (digits * spacing).astype(np.float32)


def spread_anchors(num_classes: int) -> NDArray[np.float32]:
    """Colours far from each other on the surface of the RGB cube: its corners, then greedily.

    None lies inside, where doubt between other classes would average to it. From the 9th class on
    each takes the point of a surface lattice that is farthest from all before it; ties go to the
    first in lexicographic order, so the palette is always the same.

    Returns:
        (K, 3) float32 grey levels.

    Raises:
        ValueError: more classes than the lattice has points.
    """
    levels = np.linspace(0, 255, 9)
    lattice = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    surface = lattice[np.any((lattice == 0) | (lattice == 255), axis=1)]
    if num_classes > len(surface):
        raise ValueError(f"{num_classes} classes do not fit the spread palette: {len(surface)} do")
    chosen = [255.0 * np.asarray(corner) for corner in _OPPOSITE_CORNERS[:num_classes]]
    while len(chosen) < num_classes:
        distance = np.square(surface[:, None] - np.asarray(chosen)).sum(axis=2).min(axis=1)
        chosen.append(surface[np.argmax(distance)])
    return np.rint(np.asarray(chosen)).astype(np.float32)


_OPPOSITE_CORNERS = (
    (0, 0, 0),
    (1, 1, 1),
    (1, 0, 0),
    (0, 1, 1),
    (0, 1, 0),
    (1, 0, 1),
    (0, 0, 1),
    (1, 1, 0),
)


def largest_amplitude(anchors: NDArray[np.float32]) -> float:
    """The bound below which uniform noise in a cube keeps every pixel nearest to its anchor.

    For anchors a and b with difference d, a + e stays on a's side for all |e_i| <= beta exactly if
    beta * |d|_1 < |d|_2**2 / 2. On a lattice of spacing s this is s / 2, the paper's condition.

    Args:
        anchors: (K, 3) grey levels.
    """
    difference = anchors[:, None].astype(np.float64) - anchors[None]
    taxicab = np.abs(difference).sum(axis=-1)
    bound = np.square(difference).sum(axis=-1)[taxicab > 0] / (2 * taxicab[taxicab > 0])
    return float(bound.min()) if bound.size else float("inf")


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
    """Label ids (N, H, W) uint8 of a decoded pseudo-mask (N, 3, H, W) float in [-1, 1]."""
    return anchor_distances(image, anchors).argmin(dim=1).to(torch.uint8)
