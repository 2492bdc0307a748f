from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import CHANNELS, PATCH, lossless_autoencoder, same_weights
from support.tiny_data import SIZE

from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import decode, encode, encode_moments
from semflow.networks.sources import load_autoencoder


def rough_autoencoder() -> PatchAutoencoder:
    """Fewer channels than a patch has numbers, and a correction that does something."""
    torch.manual_seed(0)
    autoencoder = PatchAutoencoder(PATCH, 6, 8, 2, 8, 1, scaling_factor=1.5)
    for parameter in autoencoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return autoencoder


@given(st.integers(0, 1000), st.floats(0.1, 4))
def test_with_a_whole_basis_and_no_correction_nothing_is_lost(seed: int, scale: float) -> None:
    autoencoder = lossless_autoencoder(scale, seed)
    image = torch.randn(2, 3, SIZE, SIZE + PATCH, generator=torch.Generator().manual_seed(seed))
    latents = encode(autoencoder, image)
    assert latents.shape == (2, CHANNELS, SIZE // PATCH, SIZE // PATCH + 1)
    torch.testing.assert_close(decode(autoencoder, latents), image, atol=1e-5, rtol=1e-5)
    # A rotation keeps lengths.
    torch.testing.assert_close(latents.norm() / scale, image.norm())


def test_a_latent_is_its_patch_projected_on_the_basis() -> None:
    torch.manual_seed(0)
    autoencoder = PatchAutoencoder(PATCH, 5, 4, 0, 4, 0)
    basis = torch.linalg.qr(torch.randn(CHANNELS, 5)).Q
    autoencoder.set_linear_path(basis)
    image = torch.randn(1, 3, SIZE, SIZE)
    mean = autoencoder.encode(image).latent_dist.mean
    patch = image[0, :, 4:8, 8:12].reshape(-1)  # channels, rows, columns, as pixel_unshuffle has it
    torch.testing.assert_close(mean[0, :, 1, 2], basis.T @ patch)
    decoded = autoencoder.decode(mean).sample
    torch.testing.assert_close(decoded[0, :, 4:8, 8:12].reshape(-1), basis @ basis.T @ patch)


def test_the_posterior_has_one_width_for_all_and_is_sampled_around_its_mean() -> None:
    autoencoder = lossless_autoencoder()
    image = torch.zeros(1, 3, SIZE, SIZE)
    moments = encode_moments(autoencoder, image)
    assert moments.shape == (1, 2 * CHANNELS, SIZE // PATCH, SIZE // PATCH)
    assert (moments[:, CHANNELS:] == -6).all()
    torch.manual_seed(0)
    sample = autoencoder.encode(image).latent_dist.sample()
    assert float(sample.std()) == pytest.approx(float(torch.tensor(-3.0).exp()), rel=0.1)


def test_a_correction_sees_its_neighbours() -> None:
    autoencoder = rough_autoencoder()
    image = torch.zeros(1, 3, SIZE, SIZE)
    other = image.clone()
    other[..., 0] = 1
    difference = (encode(autoencoder, image) - encode(autoencoder, other)).abs().sum(dim=(0, 1, 2))
    assert difference[1] > 0


def test_a_saved_autoencoder_comes_back_with_equal_outputs(tmp_path: Path) -> None:
    autoencoder = rough_autoencoder().eval()
    autoencoder.save_pretrained(tmp_path)
    again = load_autoencoder(tmp_path)
    assert isinstance(again, PatchAutoencoder)
    assert same_weights(autoencoder, again)
    assert again.config.scaling_factor == 1.5
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    image = torch.rand(2, 3, SIZE, SIZE)
    with torch.no_grad():
        latents = encode(autoencoder, image)
        assert torch.equal(encode(again, image), latents)
        assert torch.equal(decode(again, latents), decode(autoencoder, latents))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_a_scaling_factor_set_after_training_is_saved(tmp_path: Path) -> None:
    autoencoder = lossless_autoencoder(1.0)
    autoencoder.register_to_config(scaling_factor=0.25)
    autoencoder.save_pretrained(tmp_path)
    again = load_autoencoder(tmp_path)
    image = torch.rand(1, 3, SIZE, SIZE)
    torch.testing.assert_close(encode(again, image), encode(lossless_autoencoder(0.25), image))


def test_pixels_and_latents_cover_the_same_ground() -> None:
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[..., : SIZE // 2, :] = 1
    latents = encode(lossless_autoencoder(), image)
    lit = latents.square().sum(dim=1)[0] > 0
    assert torch.equal(lit, F.max_pool2d(image[:, :1], PATCH)[0, 0] > 0)
