"""A patch autoencoder small enough for a CPU, with the interface of diffusers' AutoencoderKL."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


def zero_(layer: nn.Conv2d) -> None:
    """Makes a convolution return nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip; the second starts at zero: a new block does nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        zero_(self.conv_out)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, h, w)."""
        update: Tensor = self.conv_out(F.silu(self.conv_in(F.silu(features))))
        return features + update


def _trunk(in_channels: int, hidden_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    head = nn.Conv2d(hidden_channels, out_channels, 3, padding=1)
    zero_(head)
    body = [ResidualBlock(hidden_channels) for _ in range(blocks)]
    return nn.Sequential(
        nn.Conv2d(in_channels, hidden_channels, 3, padding=1), *body, nn.SiLU(), head
    )


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Pixels to posterior moments and back, all convolutions at the latents' resolution.

    Both ways are a linear patch transform (which starts as a PCA, see `set_linear_path`) plus a
    residual correction by 3x3 convolutions. At equal cost this begins where an ordinary
    convolutional autoencoder ends on a CPU budget, since no layer runs at full resolution.

    Args:
        patch_size: side of a patch in pixels, the factor between image and latents.
        latent_channels: C, channels of the latents.
        encoder_channels: width of the encoder's correction.
        encoder_blocks: number of residual blocks of the encoder's correction.
        decoder_channels: width of the decoder's correction.
        decoder_blocks: number of residual blocks of the decoder's correction.
        scaling_factor: multiplies raw latents; chosen so that image latents have unit variance.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        patch_size: int,
        latent_channels: int,
        encoder_channels: int,
        encoder_blocks: int,
        decoder_channels: int,
        decoder_blocks: int,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        pixels = 3 * patch_size**2
        self.encoder_linear = nn.Conv2d(pixels, latent_channels, 1, bias=False)
        self.encoder = _trunk(pixels, encoder_channels, latent_channels, encoder_blocks)
        self.decoder_linear = nn.Conv2d(latent_channels, pixels, 1, bias=False)
        self.decoder = _trunk(latent_channels, decoder_channels, pixels, decoder_blocks)
        # One posterior width for the whole data set: it only has to keep the decoder smooth.
        self.log_variance = nn.Parameter(torch.full((latent_channels,), -6.0))

    def set_linear_path(self, basis: Tensor) -> None:
        """Starts both linear paths from an orthonormal basis.

        Args:
            basis: (3 * patch_size**2, C) float, columns are patch components in the pixel order of
                `torch.nn.functional.pixel_unshuffle`.
        """
        with torch.no_grad():
            self.encoder_linear.weight.copy_(basis.T[:, :, None, None])
            self.decoder_linear.weight.copy_(basis[:, :, None, None])

    def encode(self, image: Tensor) -> AutoencoderKLOutput:
        """Image (N, 3, H, W) float, around [-1, 1] -> posterior over (N, C, h, w)."""
        # Convolutions on a CPU are 5 to 20% faster in this layout, and on a GPU no slower.
        patches = F.pixel_unshuffle(image, self.config.patch_size).contiguous(
            memory_format=torch.channels_last
        )
        mean = self.encoder_linear(patches) + self.encoder(patches)
        log_variance = self.log_variance[None, :, None, None].expand_as(mean)
        moments = torch.cat([mean, log_variance], dim=1)
        return AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments))

    def decode(self, latents: Tensor) -> DecoderOutput:
        """Raw latents (N, C, h, w), unscaled -> image (N, 3, H, W) float around [-1, 1]."""
        latents = latents.contiguous(memory_format=torch.channels_last)
        patches = self.decoder_linear(latents) + self.decoder(latents)
        return DecoderOutput(sample=F.pixel_shuffle(patches, self.config.patch_size))
