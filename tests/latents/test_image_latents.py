from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from support.tiny import CHANNELS, PATCH, TinyDataset, latents_of
from support.tiny_data import SIZE, TRAIN_SAMPLES, cut_short, flip_a_byte

from semflow.core.errors import UserError
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import to_unit_range
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import array_from, png_pixels

SIDE = SIZE // PATCH


def test_latents_are_the_posterior_of_each_image_and_of_its_mirror_image(
    dataset: TinyDataset, autoencoder: PatchAutoencoder
) -> None:
    for split in ("train", "val"):
        pixels = ShardFolder(read_manifest(dataset.shards / split))
        latents = ShardFolder(read_manifest(dataset.image_latents / split))
        assert len(latents) == len(pixels)
        for position in range(len(pixels)):
            assert latents.key(position) == pixels.key(position)
            image = png_pixels(pixels.read(position, "image.png"))
            for member, source in (("moments.npy", image), ("mirrored.npy", image[:, ::-1])):
                found = array_from(latents.read(position, member))
                posterior = autoencoder.encode(to_unit_range(torch.tensor(source.copy())[None]))
                expected = posterior.latent_dist.parameters[0].numpy()
                assert found.dtype == np.float16
                assert found.shape == (2 * CHANNELS, SIDE, SIDE)
                np.testing.assert_allclose(found.astype(np.float32), expected, rtol=2e-3, atol=2e-3)


def test_latent_shards_are_webdataset_tars_of_the_pixel_shards_lengths(
    dataset: TinyDataset,
) -> None:
    tars = [str(path) for path in sorted((dataset.image_latents / "train").glob("*.tar"))]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert len(tars) == 3
    assert len(samples) == TRAIN_SAMPLES
    assert all({"moments.npy", "mirrored.npy"} < sample.keys() for sample in samples)


def test_two_runs_write_the_same_bytes(
    dataset: TinyDataset, autoencoder: PatchAutoencoder, tmp_path: Path
) -> None:
    latents_of(dataset.shards, dataset.digests, autoencoder, tmp_path / "latents")
    for path in sorted(dataset.image_latents.rglob("*.*")):
        again = tmp_path / "latents" / path.relative_to(dataset.image_latents)
        assert again.read_bytes() == path.read_bytes()


def test_the_manifest_notes_the_scaling_factor(
    dataset: TinyDataset, autoencoder: PatchAutoencoder
) -> None:
    about = read_manifest(dataset.image_latents / "val").about
    assert about == {"scaling_factor": autoencoder.config.scaling_factor, "split": "val"}


def test_a_shard_that_is_not_the_one_of_the_digests_is_refused(
    dataset: TinyDataset, autoencoder: PatchAutoencoder, tmp_path: Path
) -> None:
    digests = json.loads(dataset.digests.read_text("utf-8"))
    digests["train"]["shards"].reverse()
    (tmp_path / "digests.json").write_text(json.dumps(digests), encoding="utf-8")
    out = tmp_path / "latents"
    complaint = r"000000\.tar holds other images or labels .*run: dvc repro -f shards@earth"
    with pytest.raises(UserError, match=complaint):
        latents_of(dataset.shards, tmp_path / "digests.json", autoencoder, out)
    assert not out.exists()


@pytest.mark.parametrize("change", [{"samples": 9}, {"shards": ["0" * 64]}])
def test_a_folder_of_another_length_than_the_digests_is_refused(
    dataset: TinyDataset, autoencoder: PatchAutoencoder, tmp_path: Path, change: dict[str, object]
) -> None:
    digests = json.loads(dataset.digests.read_text("utf-8"))
    digests["train"].update(change)
    (tmp_path / "digests.json").write_text(json.dumps(digests), encoding="utf-8")
    with pytest.raises(UserError, match=r"10 samples in 3 tars, .* names .*dvc repro -f shards@"):
        latents_of(dataset.shards, tmp_path / "digests.json", autoencoder, tmp_path / "latents")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [(cut_short, "bytes, its manifest says"), (flip_a_byte, "was altered")],
)
def test_a_spoiled_pixel_tar_is_named_and_never_encoded(
    dataset: TinyDataset,
    autoencoder: PatchAutoencoder,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    complaint: str,
) -> None:
    pixels = Path(shutil.copytree(dataset.shards, tmp_path / "shards"))
    spoil(pixels / "train" / "000001.tar")
    with pytest.raises(UserError) as refusal:
        latents_of(pixels, dataset.digests, autoencoder, tmp_path / "latents")
    message = str(refusal.value)
    assert message.startswith(str(pixels / "train" / "000001.tar"))
    assert complaint in message
    assert message.endswith("dvc repro -f shards@earth")
    assert not (tmp_path / "latents").exists()
