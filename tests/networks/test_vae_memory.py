from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from support.tiny import lossless_autoencoder
from torch import Tensor

from semflow.core.errors import UserError
from semflow.networks.encoding import decode, encode
from semflow.networks.vae_memory import SLICING, TILING, fit_autoencoder

SAMPLE_SIZE = 32
"""The autoencoder's own: what is larger is cut into tiles."""


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (SLICING, TILING):
        monkeypatch.delenv(variable, raising=False)


def autoencoder_kl() -> AutoencoderKL:
    """Stable Diffusion's kind, small, with the same random weights every time."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 16),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SAMPLE_SIZE,
    ).eval()


@torch.no_grad()
def both_ways(autoencoder: AutoencoderKL, side: int) -> tuple[Tensor, Tensor]:
    """Latents of three smooth images of a side, and three images out of random latents."""
    draws = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 3, 4, 4, generator=draws) * 2 - 1
    images = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    latents = torch.randn(3, 4, side // 4, side // 4, generator=draws)
    return encode(autoencoder, images), decode(autoencoder, latents)


def difference(one: Tensor, other: Tensor) -> float:
    """Root mean square, in units of the first one's deviation."""
    return float((one - other).square().mean().sqrt() / one.std())


def test_slicing_takes_images_one_by_one_and_changes_no_more_than_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, sliced = autoencoder_kl(), autoencoder_kl()
    monkeypatch.setenv(SLICING, "1")
    assert fit_autoencoder(sliced) == {"vae_slicing": 1}
    sizes: list[int] = []
    for part in (sliced.encoder, sliced.decoder):
        part.register_forward_hook(lambda _part, inputs, _found: sizes.append(len(inputs[0])))
    pairs = zip(both_ways(plain, 24), both_ways(sliced, 24), strict=True)
    assert all(difference(one, other) < 1e-5 for one, other in pairs)
    assert sizes == [1] * 6


def test_tiling_leaves_images_of_the_autoencoders_own_size_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, tiled = autoencoder_kl(), autoencoder_kl()
    monkeypatch.setenv(TILING, "1")
    assert fit_autoencoder(tiled) == {"vae_tiling": 1}
    pairs = zip(both_ways(plain, SAMPLE_SIZE), both_ways(tiled, SAMPLE_SIZE), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_tiling_of_larger_images_sees_tiles_alone_and_differs_by_less_than_a_deviation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, tiled = autoencoder_kl(), autoencoder_kl()
    monkeypatch.setenv(TILING, "1")
    fit_autoencoder(tiled)
    widths: list[int] = []
    tiled.encoder.register_forward_hook(
        lambda _part, inputs, _found: widths.append(inputs[0].shape[3])
    )
    differences = [
        difference(one, other)
        for one, other in zip(both_ways(plain, 64), both_ways(tiled, 64), strict=True)
    ]
    assert max(widths) == SAMPLE_SIZE
    assert len(widths) == 9
    # With random weights 0.56 of a deviation in latents and 0.35 in images.
    assert all(0.1 < found < 0.8 for found in differences)


def test_the_patch_autoencoder_has_neither_and_nothing_is_recorded_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SLICING, "1")
    monkeypatch.setenv(TILING, "1")
    assert fit_autoencoder(lossless_autoencoder()) == {}


@pytest.mark.parametrize("variable", [SLICING, TILING])
def test_another_value_than_1_or_0_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "on")
    with pytest.raises(UserError, match=f"{variable} is 'on'; give 1"):
        fit_autoencoder(autoencoder_kl())
    monkeypatch.setenv(variable, "0")
    assert fit_autoencoder(autoencoder_kl()) == {}
