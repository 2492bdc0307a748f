"""ST-LPIPS: a perceptual distance that tolerates small shifts. It is not LPIPS."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from semflow.metrics.fixed_networks import (
    channels_last,
    check_pair,
    check_unit_range,
    freeze_with,
    read_weights,
)

# A smaller image leaves the last blur fewer pixels than its reflection needs.
SMALLEST_SIDE = 21

_CHANNELS = (64, 192, 384, 256, 256)
# Where each stage begins in the file, which numbers the layers of all stages in one row.
_STAGE_STARTS = (0, 3, 7, 11, 13)
_STAGE_KEY = re.compile(r"net\.slice(\d)\.(\d+)\.(\w+)")
_HEAD_KEY = re.compile(r"lin(\d)\.model\.1\.weight")
# Under the root, so that the gradient of a pixel whose features are all zero is zero, not nan.
_ENERGY_FLOOR = 1e-20


class StLpips(nn.Module):
    """ST-LPIPS with AlexNet, its weights still to be given: see `load_st_lpips`.

    Features and distance are apart, so that the features of an image that many are compared with
    are computed once.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(1, 3, 1, 1))
        self.register_buffer("scale", torch.empty(1, 3, 1, 1))
        c1, c2, c3, c4, c5 = _CHANNELS
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, c1, 11, padding=2), _blur(c1), nn.ReLU()),
                _pooled_stage(nn.Conv2d(c1, c2, 5, padding=2)),
                _pooled_stage(nn.Conv2d(c2, c3, 3, padding=1)),
                nn.Sequential(nn.Conv2d(c3, c4, 3, padding=1), nn.ReLU()),
                nn.Sequential(nn.Conv2d(c4, c5, 3, padding=1), nn.ReLU()),
            ]
        )
        self.heads = nn.ModuleList(nn.Conv2d(c, 1, 1, bias=False) for c in _CHANNELS)

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit vectors (N, C, h, w) of each stage.

        Args:
            images: (N, 3, H, W) float in [-1, 1].

        Raises:
            ValueError: On other shapes, dtypes or ranges, and on sides below SMALLEST_SIDE.
        """
        check_unit_range(images, SMALLEST_SIDE)
        x, units = (images - self.shift) / self.scale, []
        for stage in self.stages:
            x = stage(x)
            energy = x.square().sum(dim=1, keepdim=True)
            units.append(x * (energy + _ENERGY_FLOOR).rsqrt())
        return units

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (N,) >= 0 between images by their features."""
        stages = zip(self.heads, a, b, strict=True)
        parts = [head((one - other).square()).mean(dim=(1, 2, 3)) for head, one, other in stages]
        return torch.stack(parts).sum(dim=0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (N,) of two batches (N, 3, H, W), float in [-1, 1].

        Raises:
            ValueError: On unequal shapes, and as `features`.
        """
        check_pair(a, b, SMALLEST_SIDE)
        return self.distance(self.features(a), self.features(b))


def load_st_lpips(path: Path) -> StLpips:
    """Loads the frozen AlexNet variant of ST-LPIPS from `alex_shift_tolerant.pth`.

    The file comes with the PyPI package stlpips-pytorch (Ghildyal and Liu, "Shift-tolerant
    Perceptual Similarity Metric", ECCV 2022). The distance is 0 for equal images, symmetric, and
    passes gradients to the images. torchmetrics has LPIPS but not this one.

    Raises:
        UserError: The file is missing, unreadable or of another network.
    """
    # On the meta device the layers draw no random weights, so that the caller's seed stays put.
    with torch.device("meta"):
        network = StLpips()
    freeze_with(network, {_own_key(k): v for k, v in read_weights(path).items()}, path)
    return channels_last(network)


def _blur(channels: int) -> nn.Sequential:
    depthwise = nn.Conv2d(channels, channels, 3, stride=2, groups=channels, bias=False)
    return nn.Sequential(nn.ReflectionPad2d(2), depthwise)


def _pooled_stage(convolution: nn.Conv2d) -> nn.Sequential:
    pool = nn.MaxPool2d(3, stride=1)
    return nn.Sequential(pool, _blur(convolution.in_channels), convolution, nn.ReLU())


def _own_key(key: str) -> str:
    if head := _HEAD_KEY.fullmatch(key):
        return f"heads.{head[1]}.weight"
    match = _STAGE_KEY.fullmatch(key)
    if match is None or not 1 <= int(match[1]) <= len(_STAGE_STARTS):
        return key.removeprefix("scaling_layer.")
    stage = int(match[1]) - 1
    name = "1.weight" if match[3] == "filt" else match[3]
    return f"stages.{stage}.{int(match[2]) - _STAGE_STARTS[stage]}.{name}"
