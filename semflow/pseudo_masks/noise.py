"""The perturbation of pseudo-masks: noise of one or two grain sizes, added to pixels (Eq. 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semflow.core.errors import UserError
from semflow.pseudo_masks.schema import NoiseParams


@dataclass(frozen=True)
class Noise:
    """How pseudo-masks are perturbed.

    The paper's noise is independent from pixel to pixel, `share` 0. A small model cannot turn that
    into what tells two images of one label apart, which is smooth over many pixels; a coarse part
    can be. The sum of both parts stays within [-1, 1], so an amplitude means what it means in the
    paper.

    Args:
        amplitude: beta of Eq. 14, grey levels.
        cell: Distance between the coarse noise's grid points, pixels.
        share: Share of the amplitude that is coarse, in [0, 1].
    """

    amplitude: float
    cell: int
    share: float

    @classmethod
    def checked(cls, params: NoiseParams, anchors: NDArray[np.float32]) -> Self:
        """The noise of params.yaml, for a palette.

        Args:
            params: The block.
            anchors: (K, 3) grey levels.

        Raises:
            UserError: The amplitude could carry a pixel over to another class.
        """
        limit = largest_amplitude(anchors)
        if params.amplitude >= limit:
            raise UserError(
                f"params.yaml: noise.amplitude = {params.amplitude} changes classes: "
                f"these anchors allow less than {limit:g} grey levels"
            )
        return cls(params.amplitude, params.cell, params.share)

    def draw(self, generator: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Noise (3, H, W) float32 in [-1, 1) for one pseudo-mask of the given height and width."""
        fine = generator.random((3, *size), dtype=np.float32) * 2 - 1
        if self.share == 0:
            return fine
        points = [extent // self.cell + 1 for extent in size]
        coarse = generator.random((3, *points), dtype=np.float32) * 2 - 1
        smooth = F.interpolate(
            torch.from_numpy(coarse)[None], size=tuple(size), mode="bilinear", align_corners=True
        )[0].numpy()
        return ((1 - self.share) * fine + self.share * smooth).astype(np.float32, copy=False)


def draw_noise(items: Sequence[int], size: Sequence[int], seed: int, noise: Noise) -> Tensor:
    """Noise item by item, so that a batch's size changes nothing.

    Args:
        items: N numbers; item i draws from (seed, i).
        size: Height and width.
        seed: Base seed shared by all items.
        noise: Its grain.

    Returns:
        (N, 3, H, W) float32 in [-1, 1).
    """
    draws = [
        noise.draw(np.random.Generator(np.random.Philox(key=[seed, item])), size) for item in items
    ]
    return torch.from_numpy(np.stack(draws))


def perturb(pseudo_mask: Tensor, noise: Tensor, amplitude: float) -> Tensor:
    """Eq. 14, unclamped, ignored pixels included.

    Args:
        pseudo_mask: (N, 3, H, W) float in [-1, 1].
        noise: Same shape, in [-1, 1].
        amplitude: beta, grey levels.
    """
    return pseudo_mask + noise * (amplitude / 127.5)


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
