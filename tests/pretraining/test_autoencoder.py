from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import CHANNELS, PATCH, TinyDataset, same_weights
from support.tiny_data import flip_a_byte

import semflow.pretraining.autoencoder as pretraining
from semflow.core.errors import UserError
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import decode, encode, to_unit_range
from semflow.networks.schema import ScratchAutoencoder
from semflow.networks.sources import WEIGHTS
from semflow.pretraining.autoencoder import color_labels, random_colors, train_autoencoder
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

SMALL = ScratchAutoencoder(
    source="scratch",
    patch_size=PATCH,
    latent_channels=6,
    encoder_channels=8,
    encoder_blocks=1,
    decoder_channels=8,
    decoder_blocks=1,
    seed=0,
    steps=0,
    batch_size=4,
    learning_rate=0.01,
    image_loss_weight=3.0,
    color_loss_weight=0.05,
    color_temperature=0.02,
    latent_noise=0.01,
    log_every=1,
)


def train_images(dataset: TinyDataset) -> torch.Tensor:
    folder = ShardFolder(read_manifest(dataset.shards / "train"))
    images = [png_pixels(folder.read(i, "image.png")) for i in range(len(folder))]
    return to_unit_range(torch.from_numpy(np.stack(images)))


def errors(autoencoder: PatchAutoencoder, images: torch.Tensor) -> float:
    with torch.no_grad():
        return float((decode(autoencoder, encode(autoencoder, images)) - images).square().mean())


def train(dataset: TinyDataset, scratch: Path, **changes: object) -> PatchAutoencoder:
    params = SMALL.model_copy(update=changes)
    return train_autoencoder("earth", params, dataset.shards, scratch)


def test_before_any_step_a_whole_basis_loses_nothing(dataset: TinyDataset, workspace: Path) -> None:
    autoencoder = train(dataset, workspace / "scratch", latent_channels=CHANNELS)
    assert errors(autoencoder, train_images(dataset)) < 1e-9


def test_fewer_components_lose_no_more_than_as_many_pixels_would(
    dataset: TinyDataset, workspace: Path
) -> None:
    images = train_images(dataset)
    lost = [
        errors(train(dataset, workspace / str(channels), latent_channels=channels), images)
        for channels in (3, 6, 12, 24)
    ]
    assert lost == sorted(lost, reverse=True)
    assert lost[1] < float(images.square().mean()) * (1 - 6 / CHANNELS)


@pytest.mark.parametrize("steps", [0, 3])
def test_the_scaling_factor_gives_image_latents_unit_variance(
    dataset: TinyDataset, workspace: Path, steps: int
) -> None:
    trained = train(dataset, workspace / "scratch", steps=steps)
    with torch.no_grad():
        latents = encode(trained, train_images(dataset))
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)


def logged() -> list[dict[str, float]]:
    lines = Path("logs/earth/autoencoder.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_training_lowers_the_loss_and_repeats_itself(dataset: TinyDataset, workspace: Path) -> None:
    torch.manual_seed(1)
    one = train(dataset, workspace / "one", steps=40)
    losses = [line["loss"] for line in logged()]
    assert [line["step"] for line in logged()] == list(range(1, 41))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    torch.manual_seed(2)
    two = train(dataset, workspace / "two", steps=40)
    assert same_weights(one, two)
    assert one.config.scaling_factor == two.config.scaling_factor
    assert not one.training


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def die_at_read(monkeypatch: pytest.MonkeyPatch, number: int, error: type[BaseException]) -> None:
    """Ends training at a read of pixels: the PCA takes two, each step two, the scale one."""
    reads = count(1)
    read = pretraining._read

    def read_or_die(*arguments: Any) -> torch.Tensor:
        if next(reads) == number:
            raise error
        return read(*arguments)

    monkeypatch.setattr(pretraining, "_read", read_or_die)


@pytest.mark.parametrize(
    ("error", "number", "done"), [(Killed, 5, 1), (OSError, 10, 3), (Killed, 15, 6)]
)
def test_training_cut_off_anywhere_goes_on_to_the_same_bytes(
    dataset: TinyDataset,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[BaseException],
    number: int,
    done: int,
) -> None:
    monkeypatch.setattr(pretraining, "SECONDS_BETWEEN_STATES", 0.0)
    train(dataset, workspace / "undisturbed", steps=6).save_pretrained(workspace / "one")
    with monkeypatch.context() as patch:
        die_at_read(patch, number, error)
        with pytest.raises(error):
            train(dataset, workspace / "cut", steps=6)
    torch.manual_seed(9)
    train(dataset, workspace / "cut", steps=6).save_pretrained(workspace / "two")
    for name in ("config.json", WEIGHTS):
        assert (workspace / "one" / name).read_bytes() == (workspace / "two" / name).read_bytes()
    assert f"autoencoder: resumed at step {done}\n" in capsys.readouterr().err
    assert [line["step"] for line in logged()] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_state_costs_its_own_steps_only(
    dataset: TinyDataset,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pretraining, "SECONDS_BETWEEN_STATES", 0.0)
    one = train(dataset, workspace / "scratch", steps=4)
    flip_a_byte(workspace / "scratch" / "00000004.pt")
    two = train(dataset, workspace / "scratch", steps=4)
    assert "autoencoder: resumed at step 3\n" in capsys.readouterr().err
    assert same_weights(one, two)


def test_a_finished_training_ends_again_without_a_step(
    dataset: TinyDataset, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = train(dataset, workspace / "scratch", steps=3)
    # Only the last state is due by then; two reads for the PCA and one for the scale are left.
    die_at_read(monkeypatch, 4, Killed)
    two = train(dataset, workspace / "scratch", steps=3)
    assert same_weights(one, two)
    assert one.config.scaling_factor == two.config.scaling_factor


@pytest.mark.usefixtures("workspace")
def test_a_loss_that_diverges_is_one_line_and_leaves_no_state(
    dataset: TinyDataset, tmp_path: Path
) -> None:
    said = r"^the autoencoder's loss at step 2 is (nan|inf); lower autoencoder\.learning_rate$"
    with pytest.raises(UserError, match=said):
        train(dataset, tmp_path / "scratch", steps=3, learning_rate=1e30)
    assert not list((tmp_path / "scratch").rglob("*.pt"))


def test_weights_that_diverge_in_the_last_update_are_one_line_and_leave_no_state(
    dataset: TinyDataset, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = pretraining._losses

    def with_a_steep_loss(autoencoder: PatchAutoencoder, *others: Any) -> dict[str, torch.Tensor]:
        found = losses(autoencoder, *others)
        # The root of zero: its value is finite and its slope is not.
        steep = (autoencoder.log_variance * 0).sqrt().sum()
        return {**found, "loss": found["loss"] + steep}

    monkeypatch.setattr(pretraining, "_losses", with_a_steep_loss)
    said = r"^the sum of .* after step 1 is nan; lower autoencoder\.learning_rate$"
    with pytest.raises(UserError, match=said):
        train(dataset, workspace / "scratch", steps=1)
    assert not list((workspace / "scratch").rglob("*.pt"))


@pytest.mark.parametrize("level", [0.0, float("inf"), float("nan"), 1e38])
def test_latents_that_no_factor_scales_are_one_line(
    dataset: TinyDataset, workspace: Path, monkeypatch: pytest.MonkeyPatch, level: float
) -> None:
    monkeypatch.setattr(pretraining, "to_unit_range", lambda pixels: scaled(pixels, level))
    with pytest.raises(UserError, match=r"^image latents have a standard deviation of .*; lower"):
        train(dataset, workspace / "scratch")


def scaled(pixels: torch.Tensor, level: float) -> torch.Tensor:
    return to_unit_range(pixels) * level


def test_a_batch_whose_labels_are_all_ignored_does_not_stop_training(
    dataset: TinyDataset, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pretraining._read

    def without_classes(folder: ShardFolder, positions: Any, member: str) -> torch.Tensor:
        pixels = read(folder, positions, member)
        return torch.full_like(pixels, 255) if member == "label.png" else pixels

    monkeypatch.setattr(pretraining, "_read", without_classes)
    train(dataset, workspace / "scratch", steps=2)
    assert [line["color"] for line in logged()] == [0, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 20))
def test_random_colours_stay_in_range_and_differ_between_maps(
    seed: int, count: int, classes: int
) -> None:
    colors = random_colors(count, classes, np.random.default_rng(seed))
    assert colors.shape == (count, classes, 3)
    assert colors.dtype == torch.float32
    assert float(colors.abs().max()) <= 1
    assert len(torch.unique(colors.reshape(-1, 3), dim=0)) == count * classes


def test_a_map_is_coloured_with_its_own_colours_and_ignored_pixels_are_white() -> None:
    colors = torch.rand(2, 3, 3)
    label = torch.tensor([[[0, 2], [255, 1]], [[2, 2], [1, 255]]])
    maps = color_labels(label, colors)
    assert maps.shape == (2, 3, 2, 2)
    for n in range(2):
        for y in range(2):
            for x in range(2):
                class_id = int(label[n, y, x])
                expected = torch.ones(3) if class_id == 255 else colors[n, class_id]
                assert torch.equal(maps[n, :, y, x], expected)
