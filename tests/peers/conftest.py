"""Samples with pixels, and systems that train in a second."""

from __future__ import annotations

import dataclasses

import pytest
from support.tiny import TinyDataset, tiny_samples

from semflow.peers.samples import Images
from semflow.peers.schema import AdversarialParams
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.training.samples import TrainingSamples

NOISE_WIDTH = 4


@pytest.fixture(scope="session")
def samples(dataset: TinyDataset, params: DatasetParams) -> TrainingSamples:
    """The tiny train split by position, with images."""
    pixels = ShardFolder(read_manifest(dataset.shards / "train"))
    made = tiny_samples(params, dataset)
    return dataclasses.replace(made, masks=Images(pixels, NOISE_WIDTH))


@pytest.fixture
def peer() -> AdversarialParams:
    """A small SPADE; tests change what they need."""
    return AdversarialParams(
        system="spade",
        seed=5,
        width=4,
        levels=2,
        noise_width=NOISE_WIDTH,
        discriminator_width=4,
        discriminators=2,
        loss="hinge",
        generator_learning_rate=0.005,
        discriminator_learning_rate=0.002,
        adversarial_weight=0.1,
        feature_matching_weight=1.0,
        reconstruction_weight=5.0,
    )
