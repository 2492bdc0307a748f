from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import CHANNELS, PATCH, TinyDataset, same_weights

from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import decode, encode, to_unit_range
from semflow.networks.schema import ScratchAutoencoder
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


@pytest.mark.usefixtures("workspace")
def test_before_any_step_a_whole_basis_loses_nothing(dataset: TinyDataset) -> None:
    whole = SMALL.model_copy(update={"latent_channels": CHANNELS})
    autoencoder = train_autoencoder("earth", whole, dataset.shards)
    assert errors(autoencoder, train_images(dataset)) < 1e-9


@pytest.mark.usefixtures("workspace")
def test_fewer_components_lose_no_more_than_as_many_pixels_would(dataset: TinyDataset) -> None:
    images = train_images(dataset)
    lost = [
        errors(
            train_autoencoder(
                "earth", SMALL.model_copy(update={"latent_channels": channels}), dataset.shards
            ),
            images,
        )
        for channels in (3, 6, 12, 24)
    ]
    assert lost == sorted(lost, reverse=True)
    assert lost[1] < float(images.square().mean()) * (1 - 6 / CHANNELS)


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("steps", [0, 3])
def test_the_scaling_factor_gives_image_latents_unit_variance(
    dataset: TinyDataset, steps: int
) -> None:
    trained = train_autoencoder("earth", SMALL.model_copy(update={"steps": steps}), dataset.shards)
    with torch.no_grad():
        latents = encode(trained, train_images(dataset))
    assert float(latents.std()) == pytest.approx(1, abs=1e-3)


def test_training_lowers_the_loss_and_repeats_itself(dataset: TinyDataset, workspace: Path) -> None:
    settings = SMALL.model_copy(update={"steps": 40})
    torch.manual_seed(1)
    one = train_autoencoder("earth", settings, dataset.shards)
    lines = (workspace / "logs/earth/autoencoder.jsonl").read_text("utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 41))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    torch.manual_seed(2)
    two = train_autoencoder("earth", settings, dataset.shards)
    assert same_weights(one, two)
    assert one.config.scaling_factor == two.config.scaling_factor
    assert not one.training


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
