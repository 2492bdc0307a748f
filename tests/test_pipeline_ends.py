"""A pipeline whose flow runs between standardised ends, and whose masks are noisy as latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import (
    CHANNELS,
    PATCH,
    random_images,
    random_label,
    same_weights,
    tiny_pipeline,
)
from support.tiny_data import NOISE, SIZE
from torch import Tensor

from semflow.core.files import read_json, write_json
from semflow.networks.ends import Ends
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.pseudo_masks.noise import MaskNoise, draw_latent_noise, draw_noise

SHAPE = (CHANNELS, SIZE // PATCH, SIZE // PATCH)


def some_ends() -> Ends:
    """Other means and deviations in every channel of both ends."""
    ends = Ends(CHANNELS)
    draws = torch.Generator().manual_seed(0)
    ends.mean.data.copy_(torch.randn(2, CHANNELS, generator=draws))
    ends.deviation.data.copy_(torch.rand(2, CHANNELS, generator=draws) + 0.5)
    return ends


@pytest.fixture(scope="module")
def scaled() -> SemFlowPipeline:
    """A moving pipeline with ends."""
    return tiny_pipeline(moving=True, ends=some_ends())


@pytest.fixture(scope="module")
def noisy() -> SemFlowPipeline:
    """A moving pipeline with noise on latents."""
    return tiny_pipeline(moving=True, latent_noise=0.25)


def latents(seed: int) -> Tensor:
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_both_directions_solve_the_path_between_standardised_ends(scaled: SemFlowPipeline) -> None:
    mean, deviation = (
        value[:, :, None, None] for value in (scaled.ends.mean, scaled.ends.deviation)
    )

    def velocity(x: Tensor, t: float) -> Tensor:
        return scaled.field(x, torch.full((2,), t))

    x = (latents(0) - mean[0]) / deviation[0]
    for t in (0.0, 0.5):
        x = x + 0.5 * velocity(x, t)
    torch.testing.assert_close(scaled.to_mask(latents(0), 2), x * deviation[1] + mean[1])

    x = (latents(1) - mean[1]) / deviation[1]
    for t in (1.0, 0.5):
        x = x - 0.5 * velocity(x, t)
    torch.testing.assert_close(scaled.to_image(latents(1), 2), x * deviation[0] + mean[0])


def test_without_motion_an_image_gets_the_masks_scale_and_back() -> None:
    still = tiny_pipeline(ends=some_ends())
    x = latents(2)
    expected = still.ends.mask_out(still.ends.image_in(x))
    torch.testing.assert_close(still.to_mask(x, 3), expected)
    torch.testing.assert_close(still.to_image(expected, 3), x)


@torch.no_grad()
def test_masks_ahead_come_in_the_latents_own_scale(scaled: SemFlowPipeline) -> None:
    ends, times = scaled.ends, (0.0, 0.25)
    x_0, x_1 = latents(0), latents(1)
    true, own = scaled.masks_ahead(x_0, x_1, times, 2)
    start, end = ends.image_in(x_0), ends.mask_in(x_1)
    slope = scaled.field(start, torch.zeros(2))
    for n, t in enumerate(times):
        for found, x in ((true[n], torch.lerp(start, end, t)), (own[n], start + t * slope)):
            ahead = x + (1 - t) * scaled.field(x, torch.full((2,), t))
            torch.testing.assert_close(found, ends.mask_out(ahead))


def test_a_saved_checkpoint_with_ends_and_latent_noise_comes_back_with_identical_outputs(
    tmp_path: Path,
) -> None:
    one = tiny_pipeline(moving=True, ends=some_ends(), latent_noise=0.25)
    one.save_pretrained(tmp_path)
    two = load_pipeline(tmp_path)
    assert isinstance(two.ends, Ends)
    assert same_weights(two.ends, one.ends)
    assert two.noise == one.noise
    assert two.noise.latents == 0.25
    [image] = random_images(1)
    segmented, again = (pipeline.segment(Image.fromarray(image), 2)[0] for pipeline in (one, two))
    assert np.array_equal(segmented, again)
    mine, its = (pipeline.synthesize(random_label(0), seed=3)[0] for pipeline in (one, two))
    assert np.array_equal(np.asarray(mine), np.asarray(its))
    plain = tiny_pipeline(moving=True)
    assert not np.array_equal(plain.segment(Image.fromarray(image), 2)[0], segmented)


def test_a_checkpoint_without_ends_or_of_a_version_that_knew_none_has_none(
    still_pipeline: SemFlowPipeline, tmp_path: Path
) -> None:
    still_pipeline.save_pretrained(tmp_path)
    assert not (tmp_path / "ends").exists()
    assert load_pipeline(tmp_path).ends is None
    index = read_json(tmp_path / "model_index.json")
    del index["ends"], index["latent_noise"]
    write_json(tmp_path / "model_index.json", index)
    earlier = load_pipeline(tmp_path)
    assert earlier.ends is None
    assert earlier.noise.latents == 0


def test_noise_on_latents_is_an_items_own_whatever_the_batch(noisy: SemFlowPipeline) -> None:
    together = noisy.draw_noise([3, 8], 7)
    assert torch.equal(together.pixels, draw_noise([3, 8], (SIZE, SIZE), 7, noisy.noise))
    assert together.latents is not None
    assert together.latents.shape == (2, *SHAPE)
    assert torch.equal(together.latents, draw_latent_noise([3, 8], SHAPE, 7, noisy.noise))
    for row, item in enumerate((3, 8)):
        alone = noisy.draw_noise([item], 7).latents
        assert alone is not None
        assert torch.equal(alone[0], together.latents[row])
    other = noisy.draw_noise([3, 8], 8).latents
    assert other is not None
    assert not torch.equal(other, together.latents)


def test_noise_on_latents_is_added_to_them_and_scales_with_the_amplitude(
    noisy: SemFlowPipeline,
) -> None:
    label = torch.from_numpy(np.stack([random_label(0)]))
    noise = noisy.draw_noise([3], 7)
    assert noise.latents is not None
    plain = noisy.encode_label(label, None)
    without = tiny_pipeline().encode_label(label, MaskNoise(noise.pixels, None))
    default = noisy.encode_label(label, noise)
    torch.testing.assert_close(default, without + noise.latents)
    assert torch.equal(noisy.encode_label(label, noise, NOISE.amplitude), default)
    half = noisy.encode_label(label, noise, NOISE.amplitude / 2)
    torch.testing.assert_close(half - plain, (default - plain) / 2, atol=1e-5, rtol=1e-5)
    assert torch.equal(noisy.encode_label(label, noise, 0.0), plain)


def test_synthesis_draws_noise_on_latents_by_its_seed(noisy: SemFlowPipeline) -> None:
    label = random_label(0)

    def made(pipeline: SemFlowPipeline, seed: int) -> np.ndarray:
        return np.asarray(pipeline.synthesize(label, seed=seed)[0])

    assert np.array_equal(made(noisy, 1), made(noisy, 1))
    assert not np.array_equal(made(noisy, 1), made(noisy, 2))
    assert not np.array_equal(made(noisy, 1), made(tiny_pipeline(moving=True), 1))
