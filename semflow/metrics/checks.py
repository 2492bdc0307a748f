"""What the fixed networks ask of their images: a mistake here would pass as a figure."""

from __future__ import annotations

import torch
from torch import Tensor

# Saturated images with rounding stay allowed; 0..255 or unclamped samples do not.
_RANGE_SLACK = 1e-3


def check_pixels(images: Tensor) -> None:
    """Wants (N, 3, H, W) uint8.

    Raises:
        ValueError: on other shapes or dtypes.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise ValueError(
            f"images are {images.dtype} {tuple(images.shape)}; give uint8 (N, 3, H, W)"
        )


def check_pair(a: Tensor, b: Tensor, smallest_side: int) -> None:
    """Wants two batches (N, 3, H, W) of one size, float in [-1, 1].

    Args:
        a, b: of the same shape.
        smallest_side: pixels.

    Raises:
        ValueError: on other shapes, dtypes or ranges.
    """
    if a.ndim != 4 or a.shape[1] != 3 or a.shape != b.shape or not len(a):
        raise ValueError(
            f"images are {tuple(a.shape)} and {tuple(b.shape)}; give two equal (N, 3, H, W)"
        )
    if min(a.shape[2:]) < smallest_side:
        raise ValueError(f"images are {tuple(a.shape[2:])}; give sides of {smallest_side} or more")
    for name, images in (("a", a), ("b", b)):
        if not images.is_floating_point():
            raise ValueError(f"{name} is {images.dtype}; give floating-point images in -1..1")
        if not images.detach().abs().max() <= 1 + _RANGE_SLACK:
            raise ValueError(f"{name} leaves -1..1 or holds nan; rescale or clamp the images")
