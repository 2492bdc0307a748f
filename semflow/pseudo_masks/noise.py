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
from semflow.pseudo_masks.uniform import uniform_noise


@dataclass(frozen=True)
class MaskNoise:
    """What is added to N pseudo-masks.

    Args:
        pixels: (N, 3, H, W) float32 in [-1, 1), in units of the amplitude.
        latents: (N, C, h, w) float32, in the latents' units; None where they stay as encoded.
    """

    pixels: Tensor
    latents: Tensor | None


@dataclass(frozen=True)
class Noise:
    """How pseudo-masks are perturbed.

    The paper's noise is independent from pixel to pixel, one cell of 1. A small model cannot turn
    that into what tells two images of one label apart, which is smooth over many pixels; coarse
    parts can be. The sum of all parts stays within [-1, 1], so an amplitude means what it means in
    the paper.

    Args:
        amplitude: beta of Eq. 14, grey levels.
        cells: Distances between grid points, pixels, one for each part.
        shares: Of the amplitude, in [0, 1], one for each part; they add up to 1.
        latents: Deviation of normal noise that is added to a mask's latents, in their own units.
    """

    amplitude: float
    cells: tuple[int, ...] = (1,)
    shares: tuple[float, ...] = (1.0,)
    latents: float = 0.0

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
        return cls(params.amplitude, params.cells, params.shares, params.latents)

    def draw(self, generator: np.random.Generator, size: Sequence[int]) -> NDArray[np.float32]:
        """Noise (3, H, W) float32 in [-1, 1) for one pseudo-mask of the given height and width."""
        total = np.zeros((), np.float32)
        for number, (cell, share) in enumerate(zip(self.cells, self.shares, strict=True)):
            part = _part(generator, cell, size)
            # In place: at training sizes new memory costs as much as the draw itself.
            part *= share
            total = np.add(total, part, out=part) if number else part
        return total

    def draw_latents(
        self, generator: np.random.Generator, shape: Sequence[int]
    ) -> NDArray[np.float32]:
        """What is added to one mask's latents, float32 of their shape (C, h, w)."""
        normal = generator.standard_normal(tuple(shape), dtype=np.float32)
        return (self.latents * normal).astype(np.float32, copy=False)


def _part(generator: np.random.Generator, cell: int, size: Sequence[int]) -> NDArray[np.float32]:
    """Noise of one grain, (3, H, W) float32 in [-1, 1), linear between its grid points."""
    if cell == 1:
        return uniform_noise(generator, (3, *size))
    points = [extent // cell + 1 for extent in size]
    coarse = uniform_noise(generator, (3, *points))
    smooth = F.interpolate(
        torch.from_numpy(coarse)[None], size=tuple(size), mode="bilinear", align_corners=True
    )
    part: NDArray[np.float32] = smooth[0].numpy()
    return part


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
    draws = [noise.draw(_generator(seed, item), size) for item in items]
    return torch.from_numpy(np.stack(draws))


def draw_latent_noise(
    items: Sequence[int], shape: Sequence[int], seed: int, noise: Noise
) -> Tensor:
    """Noise on latents item by item, (N, C, h, w) float32; item i draws from (seed, i).

    Args:
        items: N numbers.
        shape: (C, h, w).
        seed: Base seed shared by all items, in 0 .. 2**63 - 1.
        noise: Its deviation.
    """
    # Another stream than that of the pixels' noise.
    draws = [noise.draw_latents(_generator(seed + 2**63, item), shape) for item in items]
    return torch.from_numpy(np.stack(draws))


def _generator(seed: int, item: int) -> np.random.Generator:
    # In a plain list a number from 2**63 on makes all of them floats, and neighbours the same.
    return np.random.Generator(np.random.Philox(key=np.array([seed, item], np.uint64)))


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
