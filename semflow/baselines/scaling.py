"""The scale of a discriminative network's input, chosen as for the flow beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semflow.baselines.schema import ImageEndParams
from semflow.networks.encoding import latents_from_moments
from semflow.networks.ends import SMALLEST
from semflow.training.samples import TrainingSample, TrainingSamples, first_batches


class InputScaling(nn.Module):
    """Image latents (N, C, h, w) to mean 0 and deviation 1 in each channel.

    Args:
        mean: (C,) float32.
        deviation: (C,) float32, above 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        # No part of what is trained: the same samples give the same numbers when it goes on.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    @classmethod
    def none(cls, channels: int) -> Self:
        """Leaves latents of so many channels as they are, bit for bit."""
        return cls(torch.zeros(channels), torch.ones(channels))

    @classmethod
    def of(cls, latents: Tensor) -> Self:
        """Estimates it from image latents (N, C, h, w)."""
        values = latents.transpose(0, 1).flatten(1).double()
        return cls(values.mean(dim=1).float(), values.std(dim=1).clamp(min=SMALLEST).float())

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) -> the network's input, of the same shape."""
        return (latents - self.mean[:, None, None]) / self.deviation[:, None, None]


def input_scaling(
    samples: TrainingSamples, params: ImageEndParams, scaling_factor: float
) -> InputScaling:
    """What the training order's first samples say of scales, where the flow scales its input too.

    Args:
        samples: The train split by position.
        params: Whether the flow's input is scaled, and from how many samples.
        scaling_factor: The autoencoder's.
    """
    if not params.input_is_scaled:
        return InputScaling.none(samples[0]["moments"].shape[0] // 2)
    count = None if params.preconditioning is None else params.preconditioning.samples
    batches = first_batches(samples, count)
    latents = [image_latents(batch, params.posterior, scaling_factor) for batch in batches]
    return InputScaling.of(torch.cat(latents))


def image_latents(batch: TrainingSample, posterior: str, scaling_factor: float) -> Tensor:
    """A batch's image latents (N, C, h, w), drawn as the flow draws x_0.

    Args:
        batch: With the moments and their noise.
        posterior: "sample" draws them from the posterior, "mode" takes its mean.
        scaling_factor: The autoencoder's.
    """
    noise = batch["moments_noise"] if posterior == "sample" else None
    return latents_from_moments(batch["moments"], noise, scaling_factor)


def save_scaling(scaling: InputScaling, path: Path) -> None:
    """Writes it as safetensors."""
    save_file(dict(scaling.named_buffers()), path)


def load_scaling(path: Path) -> InputScaling:
    """Reads what `save_scaling` wrote."""
    return InputScaling(**load_file(path))
