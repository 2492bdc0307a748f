from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tiny import CHANNELS, TinyDataset, same_weights
from tiny_data import CLASSES, SIZE, VAL_SAMPLES

from semflow.files import sha256_of
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.sources import load_unet, obtain_backbone
from semflow.params import DatasetParams
from semflow.pictures import GUTTER
from semflow.pipeline import load_pipeline
from semflow.training.flow import train_flow
from semflow.training.logs import value_log


@pytest.fixture
def models(workspace: Path, autoencoder: PatchAutoencoder, params: DatasetParams) -> Path:
    """An autoencoder and a backbone as their stages leave them."""
    autoencoder.save_pretrained(workspace / "autoencoder")
    unet, null_prompt = obtain_backbone(params.backbone, CHANNELS)
    unet.save_pretrained(workspace / "backbone" / "unet")
    null_prompt.save_pretrained(workspace / "backbone" / "null_prompt")
    return workspace


def train(models: Path, dataset: TinyDataset, params: DatasetParams, out: Path) -> None:
    train_flow(
        "earth",
        params,
        pixels=dataset.shards,
        latents=dataset.image_latents,
        autoencoder_folder=models / "autoencoder",
        backbone=models / "backbone",
        out=out,
    )


def test_the_stage_leaves_a_checkpoint_that_works_and_the_same_bytes_twice(
    models: Path, dataset: TinyDataset, params: DatasetParams
) -> None:
    settings = params.model_copy(
        update={"train": params.train.model_copy(update={"sample_every": 3})}
    )
    train(models, dataset, settings, models / "one")
    train(models, dataset, settings, models / "two")
    files = sorted(path.relative_to(models / "one") for path in (models / "one").rglob("*.*"))
    assert files == sorted(
        path.relative_to(models / "two") for path in (models / "two").rglob("*.*")
    )
    for file in files:
        assert sha256_of(models / "one" / file) == sha256_of(models / "two" / file), file
    assert {file.suffix for file in files} == {".json", ".safetensors"}

    pipeline = load_pipeline(models / "one")
    assert not same_weights(pipeline.unet, load_unet(models / "backbone" / "unet"))
    assert pipeline.config.class_names == list(CLASSES.names)
    assert pipeline.config.image_size == [SIZE, SIZE]
    assert pipeline.palette.amplitude == params.palette.amplitude
    [label] = pipeline.segment(Image.new("RGB", (SIZE, SIZE)))
    assert label.shape == (SIZE, SIZE)

    logs = models / "logs" / "earth"
    lines = (logs / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    assert json.loads(lines[0]).keys() == {"step", "loss", "velocity", "anchor", "learning_rate"}
    grids = sorted(path.name for path in (logs / "samples").iterdir())
    assert grids == ["000003.png", "000004.png"]
    with Image.open(logs / "samples" / "000004.png") as grid:
        width = VAL_SAMPLES * (SIZE + GUTTER) - GUTTER
        assert grid.size == (width, 4 * (SIZE + GUTTER) - GUTTER)


def test_a_log_starts_anew_and_is_appended_to(workspace: Path) -> None:
    for run in (1, 2):
        log = value_log("earth", "train")
        log(1, {"loss": 0.5 * run})
        log(2, {"loss": 0.25 * run})
    lines = (workspace / "logs/earth/train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 0.5},
    ]
