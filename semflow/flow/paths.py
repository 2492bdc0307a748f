"""SemFlow: the straight path between image and mask latents, and its velocity (Sec. 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semflow.training.schema import FlowParams


@dataclass(frozen=True)
class PathSample:
    """One point on each sample's path.

    Args:
        t: (N,) float32 in [0, 1].
        x_t: (N, C, h, w) float32.
        velocity: (N, C, h, w) float32, the regression target.
    """

    t: Tensor
    x_t: Tensor
    velocity: Tensor


def draw_t(uniform: Tensor, params: FlowParams) -> Tensor:
    """Times from uniform numbers: exactly 0 or exactly 1 with given probability, else uniform.

    Both ends of this flow are data, and every solve starts at one of them; uniform t never
    visits either.

    Args:
        uniform: (N,) float32 in [0, 1).
        params: the two probabilities; both 0 give the paper's t ~ U[0, 1].

    Returns:
        (N,) float32 in [0, 1].
    """
    at_image, at_mask = params.probability_at_image, params.probability_at_mask
    inside = (uniform - at_image) / max(1 - at_image - at_mask, 1e-9)
    return inside.clamp(0, 1)


def path_sample(x_0: Tensor, x_1: Tensor, t: Tensor) -> PathSample:
    """x_t = (1 - t) x_0 + t x_1 with velocity x_1 - x_0 (Eq. 9, 10).

    Args:
        x_0: image latents (N, C, h, w).
        x_1: mask latents (N, C, h, w).
        t: (N,).
    """
    weight = t[:, None, None, None]
    return PathSample(t, torch.lerp(x_0, x_1, weight), x_1 - x_0)


def mask_estimate(x_t: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """Where one straight step from x_t would end: x_1 = x_t + (1 - t) v, (N, C, h, w)."""
    return x_t + (1 - t)[:, None, None, None] * velocity
