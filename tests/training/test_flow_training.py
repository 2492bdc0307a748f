from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from support.tiny import CHANNELS, TinyDataset, same_weights, training_inputs
from support.tiny_data import CLASSES, SIZE, VAL_SAMPLES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semflow.core.files import sha256_of
from semflow.core.pictures import GUTTER
from semflow.mask_latents.encode_masks import encode_masks
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.sources import load_unet, obtain_backbone
from semflow.pipeline import load_pipeline
from semflow.schema import DatasetParams
from semflow.training.flow import train_flow
from semflow.core.logs import TrainingLog


@pytest.fixture
def models(workspace: Path, autoencoder: PatchAutoencoder, params: DatasetParams) -> Path:
    """An autoencoder and a backbone as their stages leave them."""
    autoencoder.save_pretrained(workspace / "autoencoder")
    unet, null_prompt = obtain_backbone(params.backbone, CHANNELS)
    unet.save_pretrained(workspace / "backbone" / "unet")
    null_prompt.save_pretrained(workspace / "backbone" / "null_prompt")
    return workspace


def train(models: Path, dataset: TinyDataset, params: DatasetParams, out: Path) -> None:
    masks = models / "mask_latents" / params.latents.mask_noise
    if not masks.exists():
        autoencoder = models / "autoencoder"
        encode_masks("earth", params.latents, params.palette, dataset.shards, autoencoder, masks)
    inputs = training_inputs(dataset.shards, dataset.image_latents, models)
    train_flow(inputs, masks, params, out)


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
    values = {"loss", "velocity", "anchor", "learning_rate", "steps_per_second"}
    assert json.loads(lines[0]).keys() == {"step"} | values
    grids = sorted(path.name for path in (logs / "samples").iterdir())
    assert grids == ["000003.png", "000004.png"]
    with Image.open(logs / "samples" / "000004.png") as grid:
        width = VAL_SAMPLES * (SIZE + GUTTER) - GUTTER
        assert grid.size == (width, 4 * (SIZE + GUTTER) - GUTTER)


def test_a_log_keeps_what_came_before_the_step_it_goes_on_from(workspace: Path) -> None:
    first = TrainingLog("earth", "train")
    first.start(0)
    for step in (1, 2, 3):
        first.add(step, {"loss": 1 / step})
    lines = workspace / "logs/earth/train.jsonl"
    with lines.open("a") as file:
        file.write('{"step": 4, "lo')  # a kill in the middle of a line
    second = TrainingLog("earth", "train")
    second.start(2)
    second.add(3, {"loss": 0.25})
    found = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [(line["step"], line["loss"]) for line in found] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    table = (workspace / "logs/earth/train/dvclive/plots/metrics/loss.tsv").read_text("utf-8")
    assert [row.split("\t") for row in table.splitlines()] == [
        ["step", "loss"],
        ["1", "1.0"],
        ["2", "0.5"],
        ["3", "0.25"],
    ]
    events = EventAccumulator(str(workspace / "logs/earth/train/tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.25),
    ]

    TrainingLog("earth", "train").start(0)
    assert not lines.exists()


@pytest.mark.parametrize("mask_noise", ["variants", "moments"])
def test_training_on_cached_masks_is_another_training_and_the_same_twice(
    models: Path, dataset: TinyDataset, params: DatasetParams, mask_noise: str
) -> None:
    latents = params.latents.model_copy(update={"mask_noise": mask_noise, "mask_draws": 3})
    cached = params.model_copy(update={"latents": latents})
    train(models, dataset, params, models / "online")
    train(models, dataset, cached, models / "one")
    train(models, dataset, cached, models / "two")
    weights = "unet/diffusion_pytorch_model.safetensors"
    online, one, two = (sha256_of(models / name / weights) for name in ("online", "one", "two"))
    assert one == two
    assert one != online
