from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from support.tiny import lossless_autoencoder

from semflow.networks.encoding import (
    Autoencoder,
    encode,
    latent_shape,
    latents_from_moments,
    to_pixels,
    to_unit_range,
)


def test_every_grey_level_comes_back_from_the_unit_range() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(-1, -1, -1, 3)
    image = to_unit_range(levels)
    assert image.shape == (1, 3, 16, 16)
    assert image.dtype == torch.float32
    assert float(image.min()) == -1
    assert float(image.max()) == 1
    assert torch.equal(to_pixels(image), levels)


def test_black_grey_and_white_are_where_they_belong() -> None:
    pixels = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    assert to_unit_range(pixels).flatten().tolist() == pytest.approx([-1, -0.6, 1])


def test_what_leaves_the_range_is_clamped_and_the_rest_rounded() -> None:
    image = torch.tensor([-1.7, 0.0, 2.5]).view(1, 3, 1, 1)
    assert to_pixels(image).flatten().tolist() == [0, 128, 255]
    third = torch.tensor([10.4, 10.6, 254.4]).view(1, 3, 1, 1) / 127.5 - 1
    assert to_pixels(third).flatten().tolist() == [10, 11, 254]


def test_channels_move_and_pixels_stay() -> None:
    pixels = torch.randint(0, 256, (2, 3, 5, 3), dtype=torch.uint8)
    image = to_unit_range(pixels)
    assert image.shape == (2, 3, 3, 5)
    assert float(image[1, 2, 0, 4]) == pytest.approx(int(pixels[1, 0, 4, 2]) / 127.5 - 1)


def test_a_sample_of_moments_is_mean_plus_deviation_times_noise_scaled() -> None:
    # One channel: mean 3 and log variance ln 4, that is deviation 2; noise -0.5; scaled by 10.
    moments = torch.tensor([3.0, 4.0]).log().view(1, 2, 1, 1)
    moments[0, 0] = 3.0
    noise = torch.full((1, 1, 1, 1), -0.5)
    assert float(latents_from_moments(moments, noise, 10.0)) == pytest.approx((3 - 1) * 10)
    assert float(latents_from_moments(moments, None, 10.0)) == pytest.approx(30)


def small_kl(levels: int) -> AutoencoderKL:
    """An autoencoder of Stable Diffusion's kind, which halves a side between its levels."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(4,) * levels,
        norm_num_groups=2,
        latent_channels=3,
    )


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
@pytest.mark.parametrize(
    "autoencoder", [lossless_autoencoder(), small_kl(1), small_kl(4)], ids=["patch", "kl1", "kl4"]
)
@torch.no_grad()
def test_the_shape_of_latents_is_told_without_encoding(
    autoencoder: Autoencoder, size: tuple[int, int]
) -> None:
    latents = encode(autoencoder, torch.zeros(1, 3, *size))
    assert latent_shape(autoencoder, size) == latents.shape[1:]
