"""What several generators and discriminators are made of."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from semflow.core.labels import IGNORE_INDEX

PATCH = 4
"""Side of the squares of pixels that a generator takes together where it begins and ends: that of
the shipped autoencoder's patches; 1 in the papers. Layers at full resolution have few weights and
take most of the time on a CPU."""


def folded(pixels: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C * PATCH^2, H / PATCH, W / PATCH)."""
    return F.pixel_unshuffle(pixels, PATCH)


def unfolded(features: Tensor) -> Tensor:
    """The inverse of `folded`."""
    return F.pixel_shuffle(features, PATCH)


def semantics_of(label: Tensor, num_classes: int) -> Tensor:
    """Label ids as one channel for each class, and a last one for pixels without a class.

    Args:
        label: (N, H, W) int64, 0 .. K - 1 or 255.
        num_classes: K.

    Returns:
        (N, K + 1, H, W) float32, 0 or 1.
    """
    known = torch.where(label == IGNORE_INDEX, num_classes, label)
    return F.one_hot(known, num_classes + 1).permute(0, 3, 1, 2).float().contiguous()


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the resolution, or divides it by its stride."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


def normalised(features: Tensor) -> Tensor:
    """(N, C, h, w) to mean 0 and deviation 1 over the pixels of each channel of each sample."""
    return F.instance_norm(features) if features[0, 0].numel() > 1 else features


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, each after normalisation, at one resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = convolution(channels, channels)
        self.conv_out = convolution(channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        inner = self.conv_in(F.relu(normalised(features)))
        return features + self.conv_out(F.relu(normalised(inner)))


class EncoderDecoder(nn.Module):
    """Halvings, residual blocks at the coarsest resolution, doublings: Johnson et al. 2016.

    Args:
        in_channels: of its input.
        out_channels: of its output, before any activation.
        width: channels at full resolution; they double with each halving.
        levels: number of halvings.
        blocks: number of residual blocks.
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int, levels: int, blocks: int
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.first = convolution(in_channels, width)
        self.down = nn.ModuleList(convolution(a, b, 2) for a, b in itertools.pairwise(widths))
        self.blocks = nn.Sequential(*(Residual(widths[-1]) for _ in range(blocks)))
        self.up = nn.ModuleList(
            convolution(b, a) for a, b in reversed(list(itertools.pairwise(widths)))
        )
        self.last = convolution(width, out_channels)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H, W)."""
        features = F.relu(normalised(self.first(images)))
        for layer in self.down:
            features = F.relu(normalised(layer(features)))
        features = self.blocks(features)
        for layer in self.up:
            features = F.relu(normalised(layer(F.interpolate(features, scale_factor=2.0))))
        outputs: Tensor = self.last(features)
        return outputs


class Judgement(NamedTuple):
    """What discriminators of several scales say: logits, and the features of their layers."""

    logits: list[Tensor]
    features: list[list[Tensor]]


class Discriminators(nn.Module):
    """PatchGANs of equal shape at several scales, each half of the one before (pix2pixHD).

    Spectral normalisation bounds every layer, as in SPADE; layers are fewer than in the papers,
    whose images are four to sixteen times as large.

    Args:
        in_channels: of what is judged.
        width: channels of the first layer, which double twice.
        count: number of scales.
    """

    def __init__(self, in_channels: int, width: int, count: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_patch_layers(in_channels, width) for _ in range(count))

    def forward(self, images: Tensor) -> Judgement:
        """(N, in, H, W) -> logits and features by scale."""
        said = Judgement([], [])
        for scale in self.scales:
            features = [images]
            assert isinstance(scale, nn.ModuleList)
            for number, layer in enumerate(scale):
                last = number == len(scale) - 1
                found = layer(features[-1])
                features.append(found if last else F.leaky_relu(found, 0.2))
            said.logits.append(features[-1])
            said.features.append(features[1:-1])
            images = F.avg_pool2d(images, 2)
        return said


def widths_upwards(width: int, levels: int) -> list[int]:
    """Channels from the coarsest to full resolution: half as many with each level, at most 8 times.

    Args:
        width: channels at full resolution.
        levels: doublings of the resolution.
    """
    return [width * min(2**level, 8) for level in reversed(range(levels + 1))]


def upwards(blocks: nn.ModuleList, features: Tensor, condition: Tensor) -> Tensor:
    """Features (N, C, h, w) through conditioned blocks, doubled in size between them."""
    first, *others = blocks
    features = first(features, condition)
    for block in others:
        features = block(F.interpolate(features, scale_factor=2.0), condition)
    return features


def _patch_layers(in_channels: int, width: int) -> nn.ModuleList:
    widths = [in_channels, width, 2 * width, 4 * width]
    strided = [
        spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1))
        for a, b in itertools.pairwise(widths)
    ]
    return nn.ModuleList([*strided, spectral_norm(convolution(widths[-1], 1))])
