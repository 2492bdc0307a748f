"""The straight path between image and mask latents, and its velocity (Sec. 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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


def draw_t(
    uniform: Tensor, probability_at_image: float, probability_at_mask: float, power: float = 1.0
) -> Tensor:
    """Times from uniform numbers: exactly 0 or exactly 1 with given probability, else u ** power.

    Both ends of this flow are data, and every solve starts at one of them; uniform t never
    visits either.

    Args:
        uniform: (N,) float32 in [0, 1).
        probability_at_image: Share of draws with t = 0; both shares 0 give the paper's U[0, 1].
        probability_at_mask: Share of draws with t = 1.
        power: Of the draws between: 1 is uniform, above it they are denser near t = 0.

    Returns:
        (N,) float32 in [0, 1].
    """
    inside = (uniform - probability_at_image) / max(
        1 - probability_at_image - probability_at_mask, 1e-9
    )
    return inside.clamp(0, 1) if power == 1 else inside.clamp(0, 1) ** power


def path_sample(x_0: Tensor, x_1: Tensor, t: Tensor) -> PathSample:
    """x_t = (1 - t) x_0 + t x_1 with velocity x_1 - x_0 (Eq. 9, 10).

    Args:
        x_0: Image latents (N, C, h, w).
        x_1: Mask latents (N, C, h, w).
        t: (N,).
    """
    weight = t[:, None, None, None]
    return PathSample(t, torch.lerp(x_0, x_1, weight), x_1 - x_0)


def bridge_sample(path: PathSample, noise: Tensor, deviation: float) -> PathSample:
    """A point of the Brownian bridge around the path instead of one on it.

    It fills the room between the paths of two labels, where a solver under doubt walks. The target
    is the derivative of the noisy point, whose mean at a place is the velocity of the flow that
    carries all bridges (Albergo et al. 2023, "Stochastic Interpolants", Sec. 2).

    Args:
        path: Points on the straight path.
        noise: (N, C, h, w) standard normal.
        deviation: Of the noise at t = 1/2, times two.
    """
    t = path.t[:, None, None, None]
    spread = deviation * (t * (1 - t)).sqrt()
    # The derivative's coefficient grows without bound towards the ends, where there is no noise.
    near = t.clamp(1e-3, 1 - 1e-3)
    slope = deviation * (1 - 2 * near) / (2 * (near * (1 - near)).sqrt())
    slope = torch.where((t > 0) & (t < 1), slope, 0.0)
    return PathSample(path.t, path.x_t + spread * noise, path.velocity + slope * noise)


def mask_estimate(x_t: Tensor, velocity: Tensor, t: Tensor) -> Tensor:
    """Where one straight step from x_t would end: x_1 = x_t + (1 - t) v, (N, C, h, w)."""
    return x_t + (1 - t)[:, None, None, None] * velocity
