from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from support.alone import checksums
from support.tiny import CHANNELS, PATCH, TinyDataset, latents_of
from support.tiny_data import SIZE, TRAIN_SAMPLES, cut_short, flip_a_byte

from semflow.core.errors import UserError
from semflow.image_latents.encode_images import encode_images
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
    latents_of(dataset.shards, autoencoder, tmp_path / "latents")
    for path in sorted(dataset.image_latents.rglob("*.*")):
        again = tmp_path / "latents" / path.relative_to(dataset.image_latents)
        assert again.read_bytes() == path.read_bytes()


def test_the_manifest_notes_the_scaling_factor(
    dataset: TinyDataset, autoencoder: PatchAutoencoder
) -> None:
    about = read_manifest(dataset.image_latents / "val").about
    assert about == {"scaling_factor": autoencoder.config.scaling_factor, "split": "val"}


def test_a_run_that_met_an_error_goes_on_to_the_same_bytes(
    dataset: TinyDataset,
    autoencoder: PatchAutoencoder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pixels = Path(shutil.copytree(dataset.shards, tmp_path / "shards"))
    spoilt = pixels / "train" / "000002.tar"
    content = spoilt.read_bytes()
    flip_a_byte(spoilt)
    with pytest.raises(UserError, match="was altered"):
        latents_of(pixels, autoencoder, tmp_path / "latents")
    spoilt.write_bytes(content)
    capsys.readouterr()
    latents_of(pixels, autoencoder, tmp_path / "latents")
    assert "image_latents: 2 of 4 shards were done" in capsys.readouterr().err
    assert checksums(tmp_path / "latents") == checksums(dataset.image_latents)


def test_the_stage_takes_networks_and_shards_from_folders_and_names_its_work_by_them(
    dataset: TinyDataset, autoencoder: PatchAutoencoder, workspace: Path
) -> None:
    autoencoder.save_pretrained(workspace / "autoencoder")
    for batch_size in (4, 3):
        out = workspace / str(batch_size)
        encode_images("earth", batch_size, dataset.shards, workspace / "autoencoder", out)
    assert checksums(workspace / "4" / "train") == checksums(dataset.image_latents / "train")
    # Another batch size may change the bytes, so that it takes up no other run's shards.
    work = [
        path for path in (workspace / ".scratch/image_latents/earth").iterdir() if path.is_dir()
    ]
    assert len(work) == 1
    assert [path.stem for path in work[0].parent.glob("*.lock")] == [work[0].name]


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
        latents_of(pixels, autoencoder, tmp_path / "latents")
    message = str(refusal.value)
    assert message.startswith(str(pixels / "train" / "000001.tar"))
    assert complaint in message
    assert message.endswith("dvc repro -f shards@earth")
    assert not (tmp_path / "latents").exists()
