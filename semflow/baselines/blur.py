"""A Gaussian blur, so that a pixel's colour tells of its surroundings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

DEVIATIONS = 3
"""Reach of the window: beyond three deviations lies 0.3% of a Gaussian."""


def blurred(pixels: Tensor, sigma: float) -> Tensor:
    """Pixels weighted by a Gaussian around each; the image's edges are continued outward.

    Args:
        pixels: (N, H, W, 3) uint8.
        sigma: Standard deviation of the Gaussian, pixels; 0 changes nothing.

    Returns:
        (N, H, W, 3) float32, grey levels.
    """
    if sigma == 0:
        return pixels.float()
    reach = math.ceil(DEVIATIONS * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=pixels.device)
    weights = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = (weights / weights.sum()).expand(3, 1, 1, -1)
    image = F.pad(pixels.permute(0, 3, 1, 2).float(), [reach] * 4, mode="replicate")
    across = F.conv2d(image, kernel, groups=3)
    return F.conv2d(across, kernel.transpose(2, 3), groups=3).permute(0, 2, 3, 1)
