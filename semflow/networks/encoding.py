"""Pixels to final latents and back, the same for AutoencoderKL and PatchAutoencoder.

Raw posterior moments are what is stored; sampling and scaling happen when they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from semflow.core.provenance import processor
from semflow.networks.autoencoder import PatchAutoencoder

if TYPE_CHECKING:
    # Of the extra `train`; a checkpoint is used without it.
    from accelerate import Accelerator

Autoencoder: TypeAlias = AutoencoderKL | PatchAutoencoder


def encode_moments(autoencoder: Autoencoder, image: Tensor) -> Tensor:
    """Image (N, 3, H, W) float in [-1, 1] -> posterior mean and log variance (N, 2C, h, w)."""
    parameters: Tensor = autoencoder.encode(image).latent_dist.parameters
    return parameters


def latents_from_moments(moments: Tensor, noise: Tensor | None, scaling_factor: float) -> Tensor:
    """Final latents of stored moments.

    Args:
        moments: (N, 2C, h, w), mean and log variance.
        noise: (N, C, h, w) standard normal for a posterior sample; None for its mode.
        scaling_factor: the autoencoder's.

    Returns:
        (N, C, h, w).
    """
    posterior = DiagonalGaussianDistribution(moments)
    raw = posterior.mean if noise is None else posterior.mean + posterior.std * noise
    scaled: Tensor = raw * scaling_factor
    return scaled


def encode(autoencoder: Autoencoder, image: Tensor) -> Tensor:
    """Image (N, 3, H, W) float in [-1, 1] -> final latents (N, C, h, w), the posterior's mode.

    The autoencoder computes in its own dtype; the latents are float32.
    """
    moments = encode_moments(autoencoder, image.to(autoencoder.dtype)).float()
    return latents_from_moments(moments, None, autoencoder.config.scaling_factor)


def decode(autoencoder: Autoencoder, latents: Tensor) -> Tensor:
    """Final latents (N, C, h, w) -> image (N, 3, H, W) float32 around [-1, 1], not clamped."""
    raw = (latents / autoencoder.config.scaling_factor).to(autoencoder.dtype)
    image: Tensor = autoencoder.decode(raw).sample.float()
    return image


def latent_shape(autoencoder: Autoencoder, image_size: Sequence[int]) -> tuple[int, int, int]:
    """(C, h, w) of the latents of an image of a height and width in pixels."""
    factor = factor_of(autoencoder)
    height, width = image_size
    return autoencoder.config.latent_channels, height // factor, width // factor


def factor_of(autoencoder: Autoencoder) -> int:
    """Pixels of the image for one of the latents, along either side."""
    config = autoencoder.config
    if isinstance(autoencoder, AutoencoderKL):
        return int(2 ** (len(config.block_out_channels) - 1))
    return int(config.patch_size)


def to_unit_range(pixels: Tensor) -> Tensor:
    """Pixels (N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1]."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(image: Tensor) -> Tensor:
    """Image (N, 3, H, W) float, clamped to [-1, 1] -> (N, H, W, 3) uint8."""
    levels = ((image.clamp(-1, 1) + 1) * 127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


def encoding_hardware(accelerator: Accelerator) -> dict[str, str | int]:
    """What the bytes of encoded latents depend on: not how many processes share the work."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "device": accelerator.device.type,
    }
