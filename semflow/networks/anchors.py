"""How a decoded pseudo-mask is read: every pixel's distance to the colour of each class."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
    """Label ids (N, H, W) uint8 of a decoded pseudo-mask (N, 3, H, W) float in [-1, 1]."""
    return anchor_distances(image, anchors).argmin(dim=1).to(torch.uint8)
