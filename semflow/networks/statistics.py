"""The closed-form part of a velocity: what second moments of image and mask latents tell of it.

In the spirit of the preconditioning of Karras et al. (2022, "Elucidating the Design Space of
Diffusion-Based Generative Models", Table 1), for a path whose two ends are both data.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

RIDGE = 1e-6
"""Added to variances: an unperturbed mask fills only a few of the latents' dimensions."""


class PathStatistics(NamedTuple):
    """What is known of x_t and of its velocity before any training.

    Args:
        mean: (N, C) of x_t.
        deviation: (N, C), the standard deviation of x_t.
        drift: (C,), the mean velocity.
        gain: (N, C, C), the least-squares guess is drift + gain (x_t - mean).
        residual: (N, C), the standard deviation of what that guess leaves.
    """

    mean: Tensor
    deviation: Tensor
    drift: Tensor
    gain: Tensor
    residual: Tensor


class LatentStatistics(ModelMixin, ConfigMixin):
    """Mean and covariance of the pair (x_0, x_1) at one place of the latents.

    Args:
        channels: C of the latents.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, channels: int) -> None:
        super().__init__()
        # Parameters, since save_pretrained keeps these; nothing ever trains them.
        self.mean = nn.Parameter(torch.zeros(2 * channels), requires_grad=False)
        self.covariance = nn.Parameter(torch.eye(2 * channels), requires_grad=False)

    def on_path(self, t: Tensor) -> PathStatistics:
        """Statistics of x_t = (1 - t) x_0 + t x_1 and v = x_1 - x_0 (Eq. 9, 10), float32.

        Args:
            t: (N,) in [0, 1].
        """
        eye = torch.eye(self.config.channels, dtype=torch.float64, device=t.device)
        mean, covariance = self.mean.double(), self.covariance.double()
        weight = t.double()[:, None, None]
        place = torch.cat([(1 - weight) * eye, weight * eye], dim=2)
        velocity = torch.cat([-eye, eye], dim=1)
        spread = place @ covariance @ place.mT + RIDGE * eye
        shared = velocity @ covariance @ place.mT
        gain = torch.linalg.solve(spread, shared.mT).mT
        left = velocity @ covariance @ velocity.mT - gain @ shared.mT
        return PathStatistics(
            mean=(place @ mean).float(),
            deviation=_diagonal(spread).sqrt().float(),
            drift=(velocity @ mean).float(),
            gain=gain.float(),
            residual=_diagonal(left).clamp(min=RIDGE).sqrt().float(),
        )


def latent_statistics(x_0: Tensor, x_1: Tensor) -> LatentStatistics:
    """Estimates them from pairs.

    Args:
        x_0: image latents (N, C, h, w).
        x_1: mask latents of the same samples.
    """
    pairs = torch.cat([x_0, x_1], dim=1).permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = pairs.mean(dim=0)
    centred = pairs - mean
    statistics = LatentStatistics(x_0.shape[1])
    statistics.mean.data.copy_(mean)
    statistics.covariance.data.copy_(centred.mT @ centred / len(pairs))
    return statistics


def _diagonal(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1)
