"""The samples, and a workspace in which the stage `train` runs, here or in its own processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.tiny import CHANNELS, TinyDataset, tiny_samples

from semflow.mask_latents.encode_masks import encode_masks
from semflow.mask_latents.schema import MaskLatentsStage
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.sources import obtain_backbone
from semflow.schema import DatasetParams
from semflow.training.samples import TrainingSamples
from stages.entry import Folders

STEPS = 120


@pytest.fixture(scope="session")
def samples(dataset: TinyDataset, params: DatasetParams) -> TrainingSamples:
    """The tiny train split by position."""
    return tiny_samples(params, dataset)


@pytest.fixture
def models(workspace: Path, autoencoder: PatchAutoencoder, params: DatasetParams) -> Path:
    """An autoencoder and a backbone as their stages leave them."""
    folders = Folders("earth")
    autoencoder.save_pretrained(folders.autoencoder)
    unet, null_prompt = obtain_backbone(params.backbone, CHANNELS)
    unet.save_pretrained(folders.backbone / "unet")
    null_prompt.save_pretrained(folders.backbone / "null_prompt")
    return workspace / folders.autoencoder.parent


@pytest.fixture
def ready(models: Path, dataset: TinyDataset, params: DatasetParams, workspace: Path) -> Folders:
    """A workspace with everything that the stage reads."""
    folders = Folders("earth")
    for made, place in (
        (dataset.shards, folders.shards),
        (dataset.pseudo_masks, folders.pseudo_masks),
        (dataset.image_latents, folders.image_latents),
    ):
        place.parent.mkdir(parents=True)
        place.symlink_to(made)
    reads = MaskLatentsStage.model_validate(params.model_dump())
    encode_masks("earth", reads, folders.pseudo_masks, models / "autoencoder", folders.mask_latents)
    block = params.model_dump(mode="json")
    block["train"] |= {"steps": STEPS, "batch_size": 4, "log_every": 10, "sample_every": 60}
    YAML().dump({"datasets": ["earth"], "earth": block}, workspace / "params.yaml")
    return folders
