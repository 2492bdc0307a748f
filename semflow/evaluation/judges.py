"""What synthesized images are judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from semflow.metrics.features import PerceptualDistance


@dataclass(frozen=True)
class Judges:
    """The fixed networks that synthesized images are judged by, on the device.

    Args:
        features: (N, 3, H, W) uint8 -> (N, D).
        perceptual: ST-LPIPS.
        unet: The independent segmenter for the round trip: x_0, as the system encodes images, ->
            scores (N, K, H, W).
    """

    features: nn.Module
    perceptual: PerceptualDistance
    unet: Callable[[Tensor], Tensor]
