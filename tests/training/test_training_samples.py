from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.tiny import CHANNELS, PATCH, TinyDataset, tensors_of, tiny_samples
from support.tiny_data import CLASSES, SIZE, TRAIN_SAMPLES

from semflow.core.errors import UserError
from semflow.schema import DatasetParams
from semflow.shards.tar import array_from, png_pixels
from semflow.training.masks import OnlineMasks
from semflow.training.samples import TrainingSamples

POSITIONS = range(4 * TRAIN_SAMPLES)


@pytest.fixture(scope="module")
def samples(dataset: TinyDataset, params: DatasetParams) -> TrainingSamples:
    return tiny_samples(params, dataset.shards, dataset.image_latents)


def mirrored(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Columns reversed, left ears turned into right ears and back."""
    swapped = label[:, ::-1].copy()
    swapped[label[:, ::-1] == 1] = 2
    swapped[label[:, ::-1] == 2] = 1
    return swapped


def test_a_sample_has_the_shapes_and_types_of_the_design(samples: TrainingSamples) -> None:
    sample = samples[0]
    side = SIZE // PATCH
    found = {name: (tuple(value.shape), value.dtype) for name, value in tensors_of(sample).items()}
    assert found == {
        "index": ((), torch.int64),
        "moments": ((2 * CHANNELS, side, side), torch.float32),
        "moments_noise": ((CHANNELS, side, side), torch.float32),
        "label": ((SIZE, SIZE), torch.int64),
        "pseudo_mask": ((3, SIZE, SIZE), torch.float32),
        "mask_noise": ((3, SIZE, SIZE), torch.float32),
        "uniform": ((), torch.float32),
    }


def test_moments_and_label_are_mirrored_together_and_left_becomes_right(
    samples: TrainingSamples,
) -> None:
    flips = 0
    for position in POSITIONS:
        sample = samples[position]
        index = int(sample["index"])
        label = png_pixels(samples.pixels.read(index, "label.png"))
        plain = torch.from_numpy(array_from(samples.latents.read(index, "moments.npy"))).float()
        other = torch.from_numpy(array_from(samples.latents.read(index, "mirrored.npy"))).float()
        assert not torch.equal(plain, other)
        assert not np.array_equal(label, mirrored(label))
        flip = torch.equal(sample["moments"], other)
        flips += flip
        if not flip:
            assert torch.equal(sample["moments"], plain)
        assert np.array_equal(sample["label"].numpy(), mirrored(label) if flip else label)
    # Half of 40, within four standard deviations.
    assert abs(flips - 20) <= 12


def test_labels_with_ears_and_ignored_pixels_occur_in_this_test_set(
    samples: TrainingSamples,
) -> None:
    ids = torch.cat([samples[position]["label"].flatten() for position in range(TRAIN_SAMPLES)])
    assert set(ids.tolist()) == {0, 1, 2, 3, 255}
    assert CLASSES.mirrored == (0, 2, 1, 3)


def test_the_pseudo_mask_is_the_coloured_label_in_the_unit_range(samples: TrainingSamples) -> None:
    assert isinstance(samples.masks, OnlineMasks)
    palette = samples.masks.palette
    for position in range(10):
        sample = samples[position]
        colors = palette.colorize(sample["label"].numpy().astype(np.uint8))
        expected = torch.from_numpy(colors).permute(2, 0, 1).float() / 127.5 - 1
        assert torch.equal(sample["pseudo_mask"], expected)


def test_an_epoch_takes_every_sample_once(samples: TrainingSamples) -> None:
    for epoch in range(3):
        start = epoch * TRAIN_SAMPLES
        taken = [int(samples[start + i]["index"]) for i in range(TRAIN_SAMPLES)]
        assert sorted(taken) == list(range(TRAIN_SAMPLES))


def test_a_position_gives_the_same_numbers_whenever_it_is_read(
    samples: TrainingSamples, dataset: TinyDataset, params: DatasetParams
) -> None:
    again = tiny_samples(params, dataset.shards, dataset.image_latents)
    for position in (17, 3, 17, 0):
        one, two = (tensors_of(source[position]) for source in (samples, again))
        assert all(torch.equal(one[name], two[name]) for name in one)
    later = samples[3 + TRAIN_SAMPLES]
    assert not torch.equal(samples[3]["mask_noise"], later["mask_noise"])


def test_noise_is_drawn_from_the_distributions_of_the_design(samples: TrainingSamples) -> None:
    drawn = [samples[position] for position in POSITIONS]
    mask_noise = torch.stack([sample["mask_noise"] for sample in drawn])
    assert float(mask_noise.min()) >= -1
    assert float(mask_noise.max()) < 1
    assert float(mask_noise.mean()) == pytest.approx(0, abs=0.02)
    moments_noise = torch.stack([sample["moments_noise"] for sample in drawn])
    assert float(moments_noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(moments_noise.std()) == pytest.approx(1, abs=0.05)
    uniform = torch.stack([sample["uniform"] for sample in drawn])
    assert 0 <= float(uniform.min()) < 0.2
    assert 0.8 < float(uniform.max()) < 1


@pytest.mark.parametrize(("spoiled", "stage"), [("shards", "shards"), ("latents", "image_latents")])
def test_training_on_a_bad_tar_stops_and_names_the_command(
    dataset: TinyDataset, params: DatasetParams, tmp_path: Path, spoiled: str, stage: str
) -> None:
    folders = {"shards": dataset.shards, "latents": dataset.image_latents}
    folders[spoiled] = Path(shutil.copytree(folders[spoiled], tmp_path / spoiled))
    path = folders[spoiled] / "train" / "000001.tar"
    content = bytearray(path.read_bytes())
    content[2000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"000001\.tar was altered.*dvc repro -f {stage}@earth"):
        tiny_samples(params, folders["shards"], folders["latents"])


def test_latents_of_other_samples_than_the_pixels_are_refused(
    dataset: TinyDataset, params: DatasetParams, tmp_path: Path
) -> None:
    latents = Path(shutil.copytree(dataset.image_latents, tmp_path / "latents"))
    path = latents / "train" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace("train_3", "train_X"), encoding="utf-8")
    with pytest.raises(UserError, match="holds other samples than"):
        tiny_samples(params, dataset.shards, latents)
