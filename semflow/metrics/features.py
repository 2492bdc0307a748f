"""The networks that sets of images are compared by, and how images pass through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

FeatureName = Literal["pt_inception-2015-12-05", "mobilenetv2"]

CHUNK = 16
"""Images that a fixed network takes at a time. Its first layers hold a hundred times an image, and
a processor's cache keeps those of 16: MobileNetV2 is twice as fast as with 64 at a time."""


@dataclass(frozen=True)
class FeatureNetwork:
    """What images are compared by.

    Args:
        name: The distances are named after it.
        network: (N, 3, H, W) uint8 -> (N, D).
        sha256: Of its weight file.
    """

    name: FeatureName
    network: nn.Module
    sha256: str


@torch.no_grad()
def in_chunks(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What a network makes of images, CHUNK at a time.

    Args:
        network: (N, ...) -> (N, D).
        images: (N, ...), N >= 1.
    """
    return torch.cat([network(chunk) for chunk in images.split(CHUNK)])
