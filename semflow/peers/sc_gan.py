"""SC-GAN: Wang et al., Image Synthesis via Semantic Composition, ICCV 2021.

Simplified against the paper: one map of semantic vectors, resized to each resolution, in place of
one for each; both conditional operators in their plain form, without attention among experts; no
VGG loss, for it needs weights from elsewhere; fewer and narrower blocks, on patches of 4 pixels,
for images of 64 x 64. As there, a first network turns semantics into smooth vectors, and a second
one renders with kernels that are composed for each place from a bank by that place's vector.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from semflow.peers.layers import (
    PATCH,
    EncoderDecoder,
    convolution,
    folded,
    normalised,
    unfolded,
    upwards,
    widths_upwards,
)

VECTOR = 16
"""Numbers of a pixel's semantic vector."""
EXPERTS = 3
"""Kernels of a bank."""


class ComposedConvolution(nn.Module):
    """A 3x3 convolution whose kernel at each pixel is a convex combination of a bank's kernels.

    Convolution is linear in its kernel: the combination of the bank's outputs is the same.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.bank = convolution(in_channels, EXPERTS * out_channels)
        self.shares = nn.Conv2d(VECTOR, EXPERTS, 1)

    def forward(self, features: Tensor, vectors: Tensor) -> Tensor:
        """(N, in, h, w) and vectors (N, VECTOR, h, w) -> (N, out, h, w)."""
        shares = self.shares(vectors).softmax(dim=1)
        outputs = self.bank(features).unflatten(1, (EXPERTS, -1))
        return (outputs * shares[:, :, None]).sum(dim=1)


class ComposedBlock(nn.Module):
    """Conditional normalisation and a composed convolution, around a learned skip."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.scale_shift = nn.Conv2d(VECTOR, 2 * in_channels, 1)
        self.convolution = ComposedConvolution(in_channels, out_channels)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, features: Tensor, vectors: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w)."""
        resized = F.interpolate(vectors, size=features.shape[2:], mode="bilinear")
        scale, shift = self.scale_shift(resized).chunk(2, dim=1)
        modulated = normalised(features) * (1 + scale) + shift
        return self.skip(features) + self.convolution(F.leaky_relu(modulated, 0.2), resized)


class SCGenerator(nn.Module):
    """Semantics and noise -> image.

    Args:
        semantics: channels of the semantics.
        width: channels of the finest features; they double with each level below, up to 8 times.
        levels: doublings of the resolution, up to that of patches.
        noise_width: numbers of a draw.
    """

    def __init__(self, semantics: int, width: int, levels: int, noise_width: int) -> None:
        super().__init__()
        widths = widths_upwards(width, levels)
        self.levels = levels
        self.vectors = EncoderDecoder(semantics * PATCH**2, VECTOR, VECTOR, levels, 1)
        self.from_vectors = convolution(VECTOR, widths[0])
        self.from_noise = nn.Linear(noise_width, widths[0])
        self.blocks = nn.ModuleList(
            ComposedBlock(a, b) for a, b in zip(widths, [*widths[1:], width], strict=True)
        )
        self.last = convolution(width, 3 * PATCH**2)

    def forward(self, semantics: Tensor, noise: Tensor) -> Tensor:
        """(N, S, H, W) and (N, noise_width) -> image (N, 3, H, W) in [-1, 1]."""
        vectors = self.vectors(folded(semantics))
        coarse = F.avg_pool2d(vectors, 2**self.levels)
        features = self.from_vectors(coarse) + self.from_noise(noise)[:, :, None, None]
        features = upwards(self.blocks, features, vectors)
        return unfolded(self.last(F.leaky_relu(features, 0.2)).tanh())
