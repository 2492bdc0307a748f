"""SPADE: Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization, CVPR 2019.

Simplified against the paper: instance normalisation in place of synchronised batch normalisation,
so that a batch's size changes nothing; no spectral normalisation in the generator; no image
encoder, so the noise is a plain normal draw; no VGG loss, for it needs weights from elsewhere;
fewer and narrower blocks, on patches of 4 pixels, for images of 64 x 64. Modulation, blocks and
losses are the paper's.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semflow.peers.layers import (
    PATCH,
    convolution,
    folded,
    normalised,
    unfolded,
    upwards,
    widths_upwards,
)

HIDDEN = 32
"""Channels between semantics and modulation; 128 in the paper."""


class Spade(nn.Module):
    """Spatially-adaptive normalisation (Eq. 1): gamma and beta are a map of the semantics.

    Args:
        channels: of the features.
        semantics: channels of the semantics.
    """

    def __init__(self, channels: int, semantics: int) -> None:
        super().__init__()
        self.shared = convolution(semantics, HIDDEN)
        self.gamma = convolution(HIDDEN, channels)
        self.beta = convolution(HIDDEN, channels)

    def forward(self, features: Tensor, semantics: Tensor) -> Tensor:
        """(N, C, h, w) and (N, S, H, W) -> (N, C, h, w): normalised * (1 + gamma) + beta."""
        resized = F.interpolate(semantics, size=features.shape[2:], mode="nearest")
        shared = F.relu(self.shared(resized))
        modulated: Tensor = normalised(features) * (1 + self.gamma(shared)) + self.beta(shared)
        return modulated


class SpadeBlock(nn.Module):
    """The paper's residual block: SPADE, LeakyReLU and convolution, twice; a learned skip."""

    def __init__(self, in_channels: int, out_channels: int, semantics: int) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.norm_in = Spade(in_channels, semantics)
        self.conv_in = convolution(in_channels, middle)
        self.norm_out = Spade(middle, semantics)
        self.conv_out = convolution(middle, out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, features: Tensor, semantics: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w)."""
        inner = self.conv_in(F.leaky_relu(self.norm_in(features, semantics), 0.2))
        inner = self.conv_out(F.leaky_relu(self.norm_out(inner, semantics), 0.2))
        return self.skip(features) + inner


class SpadeGenerator(nn.Module):
    """Semantics and noise -> image.

    Args:
        semantics: channels of the semantics.
        width: channels of the finest features; they double with each level below, up to 8 times.
        levels: doublings of the resolution, up to that of patches.
        noise_width: numbers of a draw.
    """

    def __init__(self, semantics: int, width: int, levels: int, noise_width: int) -> None:
        super().__init__()
        widths, semantics = widths_upwards(width, levels), semantics * PATCH**2
        self.levels = levels
        self.from_noise = nn.Linear(noise_width, widths[0])
        self.from_semantics = convolution(semantics, widths[0])
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, semantics) for a, b in zip(widths, [*widths[1:], width], strict=True)
        )
        self.last = convolution(width, 3 * PATCH**2)

    def forward(self, semantics: Tensor, noise: Tensor) -> Tensor:
        """(N, S, H, W) and (N, noise_width) -> image (N, 3, H, W) in [-1, 1]."""
        semantics = folded(semantics)
        height, width = (side // 2**self.levels for side in semantics.shape[2:])
        coarse = F.interpolate(semantics, size=(height, width), mode="nearest")
        # Adding the noise keeps the coarsest map of any height and width.
        features = self.from_semantics(coarse) + self.from_noise(noise)[:, :, None, None]
        features = upwards(self.blocks, features, semantics)
        return unfolded(self.last(F.leaky_relu(features, 0.2)).tanh())
