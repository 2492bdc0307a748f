"""The losses of adversarial training; logits are a list, one tensor for each discriminator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Sequence[Tensor], fake: Sequence[Tensor], kind: str) -> Tensor:
    """What a discriminator minimises, the mean over discriminators.

    hinge: mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)) (SPADE, Park et al. 2019).
    least_squares: half of mean (D(real) - 1)^2 + mean D(fake)^2 (CycleGAN, Zhu et al. 2017).

    Args:
        real: logits of any shape for images of the data set.
        fake: logits for syntheses.
        kind: "hinge" or "least_squares".

    Returns:
        () float32.
    """
    if kind == "hinge":
        terms = [
            F.relu(1 - a).mean() + F.relu(1 + b).mean() for a, b in zip(real, fake, strict=True)
        ]
    else:
        terms = [
            ((a - 1).square().mean() + b.square().mean()) / 2
            for a, b in zip(real, fake, strict=True)
        ]
    return torch.stack(terms).mean()


def generator_loss(fake: Sequence[Tensor], kind: str) -> Tensor:
    """What a generator minimises, the mean over discriminators: -D(fake), or (D(fake) - 1)^2.

    Args:
        fake: logits of any shape for syntheses.
        kind: "hinge" or "least_squares".

    Returns:
        () float32.
    """
    terms = [-b.mean() if kind == "hinge" else (b - 1).square().mean() for b in fake]
    return torch.stack(terms).mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """L1 between a discriminator's inner features of image and synthesis (pix2pixHD, Eq. 4).

    Args:
        real: for each discriminator its layers' features; no gradient goes through them.
        fake: the same of the syntheses.

    Returns:
        () float32, the mean over layers and discriminators.
    """
    terms = [
        F.l1_loss(b, a.detach())
        for layers_real, layers_fake in zip(real, fake, strict=True)
        for a, b in zip(layers_real, layers_fake, strict=True)
    ]
    return torch.stack(terms).mean()
