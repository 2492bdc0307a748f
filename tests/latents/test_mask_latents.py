from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TinyDataset, training_inputs
from support.tiny_data import CLASSES, TRAIN_SAMPLES

from semflow.mask_latents.encode_masks import encode_masks, noise_items
from semflow.mask_latents.schema import LatentParams
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import encode, to_unit_range
from semflow.pseudo_masks.noise import draw_noise
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import Manifest, read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import array_from, png_pixels
from semflow.training.inputs import open_masks
from semflow.training.masks import Masks, MomentMasks, VariantMasks

DRAWS = 3


def latents_params(mask_noise: str, draws: int = DRAWS) -> LatentParams:
    return LatentParams.model_validate(
        {"batch_size": 4, "mask_noise": mask_noise, "mask_draws": draws, "seed": 5}
    )


@pytest.fixture
def saved(workspace: Path, autoencoder: PatchAutoencoder) -> Path:
    autoencoder.save_pretrained(workspace / "autoencoder")
    return workspace / "autoencoder"


def made(mode: str, dataset: TinyDataset, params: DatasetParams, saved: Path) -> Manifest:
    out = saved.parent / mode
    encode_masks("earth", latents_params(mode), params.palette, dataset.shards, saved, out)
    return read_manifest(out / "train")


def opened(
    mode: str, dataset: TinyDataset, params: DatasetParams, saved: Path
) -> tuple[Manifest, Masks]:
    """Mask latents and what training makes of them."""
    manifest = made(mode, dataset, params, saved)
    palette = make_palette(params.palette, len(CLASSES.names))
    inputs = training_inputs(dataset.shards, dataset.image_latents, saved.parent)
    return manifest, open_masks(inputs, manifest.folder.parent, palette)


def by_definition(
    dataset: TinyDataset, params: DatasetParams, autoencoder: PatchAutoencoder, position: int
) -> tuple[np.ndarray, np.ndarray]:
    """Eq. 14 written out: draws (K, C, h, w) of the plain and of the mirrored mask."""
    pixels = ShardFolder(read_manifest(dataset.shards / "train"))
    palette = make_palette(params.palette, len(CLASSES.names))
    label = png_pixels(pixels.read(position, "label.png"))
    flipped = np.array([0, 2, 1, 3, *range(4, 256)], np.uint8)[label[:, ::-1]]
    found = []
    for shown, items in zip(
        (label, flipped), noise_items(pixels.key(position), DRAWS), strict=True
    ):
        noise = draw_noise(items, label.shape, 5, palette.grain)
        mask = to_unit_range(torch.from_numpy(palette.colorize(shown))[None])
        with torch.no_grad():
            latents = [encode(autoencoder, mask + n * (palette.amplitude / 127.5)) for n in noise]
        found.append(torch.cat(latents).numpy())
    return found[0], found[1]


def test_variants_are_encoded_draws_of_equation_14(
    dataset: TinyDataset, params: DatasetParams, saved: Path, autoencoder: PatchAutoencoder
) -> None:
    folder = ShardFolder(made("variants", dataset, params, saved))
    assert len(folder) == TRAIN_SAMPLES
    for position in (0, 7):
        plain, mirrored = by_definition(dataset, params, autoencoder, position)
        for k in range(DRAWS):
            for name, expected in (("plain", plain), ("mirrored", mirrored)):
                stored = array_from(folder.read(position, f"{name}{k}.npy"))
                assert stored.dtype == np.float16
                np.testing.assert_allclose(stored, expected[k], atol=2e-3, rtol=2e-3)
        assert np.abs(plain[0] - plain[1]).max() > 0.05


def test_moments_are_mean_and_unbiased_deviation_of_those_draws(
    dataset: TinyDataset, params: DatasetParams, saved: Path, autoencoder: PatchAutoencoder
) -> None:
    folder = ShardFolder(made("moments", dataset, params, saved))
    for position in (0, 7):
        draws = by_definition(dataset, params, autoencoder, position)
        for name, values in zip(("plain", "mirrored"), draws, strict=True):
            mean, deviation = array_from(folder.read(position, f"{name}.npy"))
            np.testing.assert_allclose(mean, values.mean(axis=0), atol=2e-3, rtol=2e-3)
            expected = np.sqrt(((values - values.mean(axis=0)) ** 2).sum(axis=0) / (DRAWS - 1))
            np.testing.assert_allclose(deviation, expected, atol=2e-3, rtol=2e-3)


def test_training_takes_every_variant_about_equally_often_and_nothing_else(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    manifest, masks = opened("variants", dataset, params, saved)
    assert isinstance(masks, VariantMasks)
    folder = ShardFolder(manifest)
    stored = [
        array_from(folder.read(2, f"mirrored{k}.npy")).astype(np.float32) for k in range(DRAWS)
    ]
    label = np.zeros((16, 16), np.uint8)
    taken = [0] * DRAWS
    for seed in range(300):
        x_1 = masks.draw(2, True, label, np.random.default_rng(seed))["x_1"].numpy()
        [k] = [k for k in range(DRAWS) if np.array_equal(stored[k], x_1)]
        taken[k] += 1
    assert min(taken) > 70


def test_training_draws_normally_around_the_stored_moments(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    manifest, masks = opened("moments", dataset, params, saved)
    assert isinstance(masks, MomentMasks)
    mean, deviation = array_from(ShardFolder(manifest).read(2, "plain.npy")).astype(np.float32)
    label = np.zeros((16, 16), np.uint8)
    draws = np.random.default_rng(0)
    drawn = np.stack([masks.draw(2, False, label, draws)["x_1"].numpy() for _ in range(400)])
    wide = deviation > 0.05
    standard = (drawn - mean)[:, wide] / deviation[wide]
    assert standard.mean() == pytest.approx(0, abs=0.02)
    assert standard.std() == pytest.approx(1, abs=0.02)


def test_online_masks_are_a_manifest_without_tars(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    manifest = made("online", dataset, params, saved)
    assert manifest.about == {"mask_noise": "online", "draws": DRAWS, "split": "train"}
    assert (len(manifest), manifest.tars) == (0, 0)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=5, unique=True))
def test_no_two_samples_share_a_draw_of_the_noise(keys: list[str]) -> None:
    numbers = [number for key in keys for items in noise_items(key, 4) for number in items]
    assert len(set(numbers)) == 8 * len(keys)
    assert max(numbers) < 2**63


def test_moments_of_a_single_draw_are_refused() -> None:
    with pytest.raises(ValueError, match="mask_draws of at least 2, got 1"):
        latents_params("moments", draws=1)
    latents_params("variants", draws=1)
