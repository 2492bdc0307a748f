"""The perturbation of pseudo-masks: noise of one or two grain sizes, added to pixels (Eq. 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Grain:
    """How the noise of Eq. 14 is spread over neighbouring pixels.

    The paper's noise is independent from pixel to pixel, `share` 0. A small model cannot turn that
    into what tells two images of one label apart, which is smooth over many pixels; a coarse part
    can be. The sum stays within [-1, 1], so an amplitude means what it means in the paper.

    Args:
        cell: distance between the coarse noise's grid points, pixels.
        share: of the amplitude that is coarse, in [0, 1].
    """

    cell: int
    share: float

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


def draw_noise(items: Sequence[int], size: Sequence[int], seed: int, grain: Grain) -> Tensor:
    """Noise item by item, so that a batch's size changes nothing.

    Args:
        items: N numbers; item i draws from (seed, i).
        size: height and width.
        seed: of all of them.
        grain: of the noise.

    Returns:
        (N, 3, H, W) float32 in [-1, 1).
    """
    draws = [
        grain.draw(np.random.Generator(np.random.Philox(key=[seed, item])), size) for item in items
    ]
    return torch.from_numpy(np.stack(draws))


def perturb(pseudo_mask: Tensor, noise: Tensor, amplitude: float) -> Tensor:
    """Eq. 14, unclamped, ignored pixels included.

    Args:
        pseudo_mask: (N, 3, H, W) float in [-1, 1].
        noise: the same shape, in [-1, 1].
        amplitude: beta in grey levels.
    """
    return pseudo_mask + noise * (amplitude / 127.5)
