from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.tiny import CHANNELS, PATCH, TinyDataset, tensors_of, tiny_samples
from support.tiny_data import CLASSES, SIZE, TRAIN_SAMPLES, cut_short, flip_a_byte

from semflow.core.errors import UserError
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest, write_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import array_from, png_pixels
from semflow.training.samples import Extras, NoMasks, TrainingSamples

POSITIONS = range(4 * TRAIN_SAMPLES)


@pytest.fixture(scope="module")
def pixels(dataset: TinyDataset) -> ShardFolder:
    """What the pseudo-masks were made of."""
    return ShardFolder(read_manifest(dataset.shards / "train"))


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
    samples: TrainingSamples, pixels: ShardFolder
) -> None:
    flips = 0
    for position in POSITIONS:
        sample = samples[position]
        index = int(sample["index"])
        label = png_pixels(pixels.read(index, "label.png"))
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


def test_the_pseudo_mask_is_the_coloured_label_in_the_unit_range(
    samples: TrainingSamples, params: DatasetParams
) -> None:
    palette = make_palette(params.palette, len(CLASSES.names))
    for position in POSITIONS:
        sample = samples[position]
        colors = palette.colorize(sample["label"].numpy().astype(np.uint8))
        expected = torch.from_numpy(colors).permute(2, 0, 1).float() / 127.5 - 1
        assert torch.equal(sample["pseudo_mask"], expected)


def test_a_sample_is_the_same_with_its_label_from_either_kind_of_shard(
    samples: TrainingSamples, pixels: ShardFolder
) -> None:
    others = replace(samples, labels=pixels, label_member="label.png")
    for position in POSITIONS:
        one, other = (tensors_of(source[position]) for source in (samples, others))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("online", [True, False])
def test_noise_for_the_formulation_changes_no_other_draw(
    samples: TrainingSamples, online: bool
) -> None:
    plain = samples if online else replace(samples, masks=NoMasks())
    noisy = replace(plain, extras=Extras(noises=1))
    noises = []
    for position in POSITIONS:
        one, other = tensors_of(plain[position]), tensors_of(noisy[position])
        noises.append(other.pop("noise"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert noises[-1].shape == one["moments_noise"].shape
        assert torch.equal(noises[-1], noisy[position]["noise"])
        assert not torch.equal(noises[-1], one["moments_noise"])
    drawn = torch.stack(noises)
    assert drawn.dtype == torch.float32
    assert float(drawn.mean()) == pytest.approx(0, abs=0.05)
    assert float(drawn.std()) == pytest.approx(1, abs=0.05)


BATCH = 4
EVERYTHING = Extras(noises=1, latent_noise=True, own_steps=3, batch_size=BATCH)
DRAWN = {"noise", "latent_noise", "own_uniform", "own_steps"}


@pytest.mark.parametrize("online", [True, False])
def test_all_extras_together_change_no_other_draw(samples: TrainingSamples, online: bool) -> None:
    plain = samples if online else replace(samples, masks=NoMasks())
    full = replace(plain, extras=EVERYTHING)
    for position in POSITIONS:
        one, other = tensors_of(plain[position]), tensors_of(full[position])
        assert other.keys() - one.keys() == DRAWN
        assert all(torch.equal(one[name], other[name]) for name in one)
        again = tensors_of(full[position])
        assert all(torch.equal(other[name], again[name]) for name in DRAWN)


def test_latent_noise_is_normal_and_its_own_and_own_draws_are_uniform(
    samples: TrainingSamples,
) -> None:
    drawn = [replace(samples, extras=EVERYTHING)[position] for position in POSITIONS]
    noise = torch.stack([sample["latent_noise"] for sample in drawn])
    assert noise.dtype == torch.float32
    assert noise.shape[1:] == drawn[0]["moments_noise"].shape
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    for other in ("noise", "moments_noise"):
        others = torch.stack([tensors_of(sample)[other] for sample in drawn])
        assert abs(float((noise * others).mean())) < 0.05
    uniform = torch.stack([sample["own_uniform"] for sample in drawn])
    assert uniform.dtype == torch.float32
    assert 0 <= float(uniform.min()) < 0.2
    assert 0.8 < float(uniform.max()) < 1
    assert not any(torch.equal(sample["own_uniform"], sample["uniform"]) for sample in drawn)


def test_own_steps_are_the_same_for_all_of_a_training_step_and_take_all_values(
    samples: TrainingSamples,
) -> None:
    full = replace(samples, extras=EVERYTHING)
    steps = torch.stack([full[position]["own_steps"] for position in POSITIONS]).view(-1, BATCH)
    assert steps.dtype == torch.int64
    assert (steps == steps[:, :1]).all()
    assert steps.unique().tolist() == [1, 2, 3]
    # They follow from the step's first position, however the step is shared; and from the seed.
    other = replace(full, seed=full.seed + 1)
    assert steps.flatten().tolist() != [int(other[position]["own_steps"]) for position in POSITIONS]
    alone = replace(full, extras=replace(EVERYTHING, own_steps=1))
    assert {int(alone[position]["own_steps"]) for position in POSITIONS} == {1}


def test_without_masks_a_sample_is_what_a_segmenter_learns_from(samples: TrainingSamples) -> None:
    alone = replace(samples, masks=NoMasks())
    for position in (0, 7):
        sample, whole = tensors_of(alone[position]), tensors_of(samples[position])
        assert whole.keys() - sample.keys() == {"pseudo_mask", "mask_noise"}
        assert all(torch.equal(sample[name], whole[name]) for name in sample)


def test_an_epoch_takes_every_sample_once(samples: TrainingSamples) -> None:
    for epoch in range(3):
        start = epoch * TRAIN_SAMPLES
        taken = [int(samples[start + i]["index"]) for i in range(TRAIN_SAMPLES)]
        assert sorted(taken) == list(range(TRAIN_SAMPLES))


def test_a_position_gives_the_same_numbers_whenever_it_is_read(
    samples: TrainingSamples, dataset: TinyDataset, params: DatasetParams
) -> None:
    again = tiny_samples(params, dataset)
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


@pytest.mark.parametrize("spoil", [flip_a_byte, cut_short, Path.unlink])
@pytest.mark.parametrize("stage", ["pseudo_masks", "image_latents"])
def test_training_on_a_bad_tar_stops_and_names_the_command(
    dataset: TinyDataset,
    params: DatasetParams,
    tmp_path: Path,
    stage: str,
    spoil: Callable[[Path], None],
) -> None:
    copy = Path(shutil.copytree(getattr(dataset, stage), tmp_path / "spoiled"))
    spoil(copy / "train" / "000001.tar")
    with pytest.raises(UserError, match=rf"000001\.tar .*dvc repro -f {stage}@earth$"):
        tiny_samples(params, replace(dataset, **{stage: copy}))


def test_latents_of_other_samples_than_the_labels_are_refused(
    dataset: TinyDataset, params: DatasetParams, tmp_path: Path
) -> None:
    latents = Path(shutil.copytree(dataset.image_latents, tmp_path / "latents"))
    manifest = read_manifest(latents / "train")
    write_manifest(latents / "train", manifest.about, list(manifest.shards())[:-1])
    with pytest.raises(UserError, match=r"holds other samples than .*-f image_latents@earth$"):
        tiny_samples(params, replace(dataset, image_latents=latents))
