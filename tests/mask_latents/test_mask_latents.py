from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from support.alone import checksums
from support.tiny import TinyDataset, flow_inputs, noise_of, shard_folder
from support.tiny_data import (
    CLASSES,
    TRAIN_SAMPLES,
    flip_a_byte,
    pseudo_masks_of,
    spread_palette,
)

from semflow.core.errors import UserError
from semflow.mask_latents.encode_masks import encode_masks, noise_items
from semflow.mask_latents.schema import LatentParams, MaskLatentsStage
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import encode, to_unit_range
from semflow.pseudo_masks.noise import draw_noise
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import Manifest, read_manifest
from semflow.shards.reading import ShardFolder, stream
from semflow.shards.tar import array_from, png_pixels
from semflow.training.inputs import open_masks
from semflow.training.samples import MaskSource, MomentMasks, VariantMasks

DRAWS = 3


def latents_params(mask_noise: str, draws: int = DRAWS) -> LatentParams:
    return LatentParams.model_validate(
        {"batch_size": 4, "mask_noise": mask_noise, "mask_draws": draws, "seed": 5}
    )


@pytest.fixture
def saved(workspace: Path, autoencoder: PatchAutoencoder) -> Path:
    autoencoder.save_pretrained(workspace / "autoencoder")
    return workspace / "autoencoder"


def made(
    mode: str,
    pseudo_masks: Path,
    params: DatasetParams,
    saved: Path,
    name: str = "out",
) -> Manifest:
    """What the stage makes of pseudo-masks in a folder beside the autoencoder."""
    stage = MaskLatentsStage(latents=latents_params(mode), noise=params.noise)
    encode_masks("earth", stage, pseudo_masks, saved, saved.parent / name)
    return read_manifest(saved.parent / name / "train")


def opened(
    mode: str, dataset: TinyDataset, params: DatasetParams, saved: Path
) -> tuple[Manifest, MaskSource]:
    """Mask latents and what training makes of them."""
    manifest = made(mode, dataset.pseudo_masks, params, saved)
    inputs = flow_inputs(dataset, saved.parent, manifest.folder.parent)
    pseudo_masks = read_manifest(dataset.pseudo_masks / "train")
    return manifest, open_masks(inputs, pseudo_masks, noise_of(params.noise), Accelerator(cpu=True))


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
        noise = draw_noise(items, label.shape, 5, noise_of(params.noise))
        mask = to_unit_range(torch.from_numpy(palette.colorize(shown))[None])
        beta = params.noise.amplitude / 127.5
        with torch.no_grad():
            latents = [encode(autoencoder, mask + n * beta) for n in noise]
        found.append(torch.cat(latents).numpy())
    return found[0], found[1]


def test_variants_are_encoded_draws_of_equation_14(
    dataset: TinyDataset, params: DatasetParams, saved: Path, autoencoder: PatchAutoencoder
) -> None:
    folder = ShardFolder(made("variants", dataset.pseudo_masks, params, saved))
    assert len(folder) == TRAIN_SAMPLES
    for position in (0, 7):
        plain, mirrored = by_definition(dataset, params, autoencoder, position)
        for k in range(DRAWS):
            for name, expected in (("plain", plain), ("mirrored", mirrored)):
                stored = array_from(folder.read(position, f"{name}{k}.npy"))
                assert stored.dtype == np.float16
                np.testing.assert_allclose(
                    stored.astype(np.float32), expected[k], atol=2e-3, rtol=2e-3
                )
        assert np.abs(plain[0] - plain[1]).max() > 0.05


def test_moments_are_mean_and_unbiased_deviation_of_those_draws(
    dataset: TinyDataset, params: DatasetParams, saved: Path, autoencoder: PatchAutoencoder
) -> None:
    folder = ShardFolder(made("moments", dataset.pseudo_masks, params, saved))
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
    manifest = made("online", dataset.pseudo_masks, params, saved)
    assert manifest.about == {"mask_noise": "online", "draws": DRAWS, "split": "train"}
    assert (len(manifest), manifest.tars) == (0, 0)


def test_the_noise_follows_from_the_key_and_not_from_the_shards_order_or_size(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    whole = ShardFolder(made("variants", dataset.pseudo_masks, params, saved))
    manifest = read_manifest(dataset.pseudo_masks / "train")
    backwards = sorted(stream(manifest), reverse=True)
    folder = saved.parent / "pseudo_masks" / "train"
    folder.mkdir(parents=True)
    shard_folder(backwards, folder, 7, manifest.about)
    other = ShardFolder(made("variants", folder.parent, params, saved, "other"))
    for position in range(len(whole)):
        twin = len(whole) - 1 - position
        assert other.key(twin) == sorted(whole.key(p) for p in range(len(whole)))[position]
        place = next(p for p in range(len(whole)) if whole.key(p) == other.key(twin))
        assert other.read(twin, "plain1.npy") == whole.read(place, "plain1.npy")


def test_masks_are_those_of_the_palette_of_the_pseudo_masks(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    before = ShardFolder(made("variants", dataset.pseudo_masks, params, saved))
    other = make_palette(spread_palette([3, 2, 1, 0]), len(CLASSES.names))
    pseudo_masks_of(dataset.shards, other, saved.parent / "pseudo_masks")
    after = ShardFolder(made("variants", saved.parent / "pseudo_masks", params, saved, "other"))
    assert after.read(0, "plain0.npy") != before.read(0, "plain0.npy")


def test_an_amplitude_that_changes_classes_is_refused_before_anything_is_made(
    dataset: TinyDataset, params: DatasetParams, saved: Path
) -> None:
    loud = params.model_copy(
        update={"noise": params.noise.model_copy(update={"amplitude": 1000.0})}
    )
    for mode in ("online", "variants"):
        with pytest.raises(UserError, match=r"noise\.amplitude = 1000\.0 changes classes"):
            made(mode, dataset.pseudo_masks, loud, saved)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_spoiled_pseudo_mask_tar_is_named_and_a_later_run_goes_on(
    dataset: TinyDataset, params: DatasetParams, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudo_masks = Path(shutil.copytree(dataset.pseudo_masks, saved.parent / "pseudo_masks"))
    spoilt = pseudo_masks / "train" / "000001.tar"
    content = spoilt.read_bytes()
    flip_a_byte(spoilt)
    with pytest.raises(UserError) as refusal:
        made("variants", pseudo_masks, params, saved)
    message = str(refusal.value)
    assert message.startswith(f"{spoilt} was altered")
    assert message.endswith("dvc repro -f pseudo_masks@earth")
    assert not (saved.parent / "out").exists()
    spoilt.write_bytes(content)
    capsys.readouterr()
    again = made("variants", pseudo_masks, params, saved)
    assert "mask_latents: 1 of 3 shards were done" in capsys.readouterr().err
    fresh = made("variants", dataset.pseudo_masks, params, saved, "fresh")
    assert checksums(again.folder) == checksums(fresh.folder)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=5, unique=True))
def test_no_two_samples_share_a_draw_of_the_noise(keys: list[str]) -> None:
    numbers = [number for key in keys for items in noise_items(key, 4) for number in items]
    assert len(set(numbers)) == 8 * len(keys)
    assert max(numbers) < 2**63


def test_moments_of_a_single_draw_are_refused() -> None:
    with pytest.raises(ValueError, match="mask_draws of at least 2, got 1"):
        latents_params("moments", draws=1)
    latents_params("variants", draws=1)
