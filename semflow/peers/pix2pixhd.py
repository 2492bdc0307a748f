"""pix2pixHD: Wang et al., High-Resolution Image Synthesis with Conditional GANs, CVPR 2018.

Simplified against the paper: its global generator alone, since 64 x 64 pixels need no local
enhancer; no instance maps, so no boundaries and no feature encoder; no VGG loss, whose weights come
from elsewhere; fewer and narrower layers, on patches of 4 pixels; nearest-neighbour doubling in
place of transposed convolutions. Discriminators of several scales and feature matching are the
paper's.
"""

from __future__ import annotations

from torch import Tensor, nn

from semflow.peers.layers import PATCH, EncoderDecoder, folded, unfolded

BLOCKS = 3
"""Residual blocks at the coarsest resolution; 9 in the paper."""


class Pix2PixHDGenerator(nn.Module):
    """Semantics -> image; it draws nothing.

    Args:
        semantics: channels of the semantics.
        width: channels of the finest features.
        levels: halvings of the resolution, from that of patches.
    """

    def __init__(self, semantics: int, width: int, levels: int) -> None:
        super().__init__()
        self.body = EncoderDecoder(semantics * PATCH**2, 3 * PATCH**2, width, levels, BLOCKS)

    def forward(self, semantics: Tensor, _noise: Tensor) -> Tensor:
        """(N, S, H, W) -> image (N, 3, H, W) in [-1, 1]; the noise is not used."""
        image: Tensor = unfolded(self.body(folded(semantics)).tanh())
        return image
