"""Samples with pixels, systems that train in a second, and a study of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.tiny import (
    CHANNELS,
    PATCH,
    TinyDataset,
    latents_of,
    lossless_autoencoder,
    tiny_samples,
)
from support.tiny_data import BACKBONE, CLASSES, SHAPE, RandomReader, index_of, pixels_of

from semflow.baselines.color_classifier import fit_color_classifiers, save_color_classifier
from semflow.baselines.scaling import InputScaling
from semflow.baselines.unet import Segmenter, save_segmenter, twin
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.params.rows import ROWS_FILE
from semflow.peers.samples import Images
from semflow.peers.schema import AdversarialParams, MaskFormerParams
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.training.samples import TrainingSamples
from stages.entry import Folders

NOISE_WIDTH = 4
DATASET = "earth"
NAMES = {"spade": "spade", "pix2pixhd": "pix2pixhd", "sc_gan": "sc-gan", "cycle_gan": "cyclegan"}
"""What the rows of adversarial systems are called after their data set."""


@pytest.fixture(scope="session")
def samples(dataset: TinyDataset, params: DatasetParams) -> TrainingSamples:
    """The tiny train split by position, with images."""
    pixels = ShardFolder(read_manifest(dataset.shards / "train"))
    made = tiny_samples(params, dataset)
    return dataclasses.replace(made, masks=Images(pixels, NOISE_WIDTH))


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a data set has before its peers, with ten train and five test samples."""
    root = tmp_path_factory.mktemp("made_before")
    (root / "raw.txt").touch()
    reader = RandomReader(root / "raw.txt", {"train": 10, "val": 4, "test": 5})
    folders = Folders(DATASET)
    shards, autoencoder = root / folders.shards, lossless_autoencoder()
    pixels_of(index_of(reader, root / "index"), reader, SHAPE, shards)
    latents_of(shards, autoencoder, root / folders.image_latents)
    autoencoder.save_pretrained(root / folders.autoencoder)
    (root / folders.backbone).mkdir()
    (root / folders.metric_weights).mkdir()
    unet = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), 1, len(CLASSES.names) * PATCH**2)
    segmenter = Segmenter(unet, NullPrompt(tokens=1, width=8), 1.0, InputScaling.none(CHANNELS))
    save_segmenter(segmenter, root / folders.baseline)
    [classifier] = fit_color_classifiers(read_manifest(shards / "train"), [0.5])
    save_color_classifier(classifier, root / folders.baseline / "color_classifier.safetensors")
    return root


@pytest.fixture
def study(
    made_before: Path,
    workspace: Path,
    params: DatasetParams,
    peer: AdversarialParams,
    maskformer: MaskFormerParams,
) -> Path:
    """A current folder whose study has a row for each peer, of three steps."""
    for path in (*made_before.glob("data/*"), *made_before.glob("models/*")):
        (workspace / path.relative_to(made_before)).parent.mkdir(exist_ok=True)
        (workspace / path.relative_to(made_before)).symlink_to(path)
    yaml = YAML(typ="safe")
    yaml.dump({"datasets": [DATASET], DATASET: params.model_dump(mode="json")}, Path("params.yaml"))
    Path("recipes").mkdir()
    evaluate = {"split": "test", "samples": 5, "batch_size": 3, "diversity_labels": 3}
    yaml.dump({"all": {"evaluate": evaluate}}, Path("recipes/study.yaml"))
    peers = {name: {**peer.model_dump(), "system": system} for system, name in NAMES.items()}
    peers["maskformer"] = maskformer.model_dump(mode="json")
    changes = {"train": {"steps": 3, "batch_size": 4, "adam_betas": [0.0, 0.9]}}
    rows = {
        f"{DATASET}-{name}": {
            "dataset": DATASET,
            "recipe": "study",
            "peer": system,
            "changes": changes,
        }
        for name, system in peers.items()
    }
    ROWS_FILE.parent.mkdir()
    yaml.dump({"peers": rows}, ROWS_FILE)
    return workspace


@pytest.fixture
def maskformer() -> MaskFormerParams:
    """A small MaskFormer."""
    return MaskFormerParams(
        system="maskformer",
        seed=2,
        embed_dim=8,
        depths=(1, 1, 1, 1),
        heads=(1, 2, 4, 8),
        width=32,
        decoder_layers=1,
        queries=6,
        learning_rate=0.002,
    )


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
