"""CycleGAN: Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent GANs, ICCV 2017.

Simplified against the paper: a label is one channel for each class, and its generator ends in a
softmax over them, in place of a label drawn as an image; fewer and narrower layers, on patches of 4
pixels; nearest-neighbour doubling; no history of syntheses for the discriminators; no identity
loss. Within a batch labels are moved by one against images, so that no image ever meets its own
label.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from semflow.peers.layers import PATCH, Discriminators, EncoderDecoder, folded, unfolded

BLOCKS = 3
"""Residual blocks at the coarsest resolution; 6 or 9 in the paper."""


class Cycles(NamedTuple):
    """What both generators make of images and of semantics that do not belong to them."""

    painted: Tensor
    read: Tensor
    image_again: Tensor
    semantics_again: Tensor


class CycleGenerators(nn.Module):
    """Semantics -> image, and image -> semantics.

    Args:
        semantics: channels of the semantics.
        width: channels of the finest features.
        levels: halvings of the resolution, from that of patches.
    """

    def __init__(self, semantics: int, width: int, levels: int) -> None:
        super().__init__()
        inner, outer = semantics * PATCH**2, 3 * PATCH**2
        self.painter = EncoderDecoder(inner, outer, width, levels, BLOCKS)
        self.reader = EncoderDecoder(outer, inner, width, levels, BLOCKS)

    def forward(self, semantics: Tensor, _noise: Tensor) -> Tensor:
        """(N, S, H, W) -> image (N, 3, H, W) in [-1, 1]; the noise is not used."""
        image: Tensor = unfolded(self.painter(folded(semantics))).tanh()
        return image

    def read(self, image: Tensor) -> Tensor:
        """Image (N, 3, H, W) in [-1, 1] -> semantics (N, S, H, W), which add up to 1."""
        semantics: Tensor = unfolded(self.reader(folded(image))).softmax(dim=1)
        return semantics

    def cycles(self, image: Tensor, semantics: Tensor) -> Cycles:
        """Both ways and back again."""
        painted, read = self(semantics, image), self.read(image)
        return Cycles(painted, read, self(read, image), self.read(painted))


class CycleDiscriminators(nn.Module):
    """One for images and one for semantics."""

    def __init__(self, semantics: int, width: int, count: int) -> None:
        super().__init__()
        self.image = Discriminators(3, width, count)
        self.semantics = Discriminators(semantics, width, count)

    def forward(self, image: Tensor, semantics: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Logits for images (N, 3, H, W), and for semantics (N, S, H, W)."""
        return self.image(image).logits, self.semantics(semantics).logits


def cycle_loss(cycles: Cycles, image: Tensor, semantics: Tensor) -> Tensor:
    """L1 of both cycles (Eq. 2); () float32."""
    return F.l1_loss(cycles.image_again, image) + F.l1_loss(cycles.semantics_again, semantics)
