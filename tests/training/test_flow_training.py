from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.tiny import (
    TinyDataset,
    flow_inputs,
    lossless_autoencoder,
    noise_of,
    same_weights,
    tiny_samples,
    train_stage,
    with_all_cures,
)
from support.tiny_data import CLASSES, SIZE, VAL_SAMPLES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import default_collate

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.core.logs import TrainingLog
from semflow.core.pictures import GUTTER
from semflow.mask_latents.encode_masks import encode_masks
from semflow.mask_latents.schema import MaskLatentsStage
from semflow.networks.sources import load_unet
from semflow.pipeline import load_pipeline
from semflow.schema import DatasetParams
from semflow.training import samples as training_samples
from semflow.training.checkpoints import SECONDS_VARIABLE
from semflow.training.curve import read_curve
from semflow.training.flow import extras_of, first_statistics, train_flow
from semflow.training.grid import SampleGrid
from semflow.training.loss import end_points
from semflow.training.samples import Extras

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def train(models: Path, dataset: TinyDataset, params: DatasetParams, out: Path) -> None:
    masks = models / "mask_latents" / params.latents.mask_noise
    if not masks.exists():
        reads = MaskLatentsStage.model_validate(params.model_dump())
        encode_masks("earth", reads, dataset.pseudo_masks, models / "autoencoder", masks)
    train_flow(flow_inputs(dataset, models, masks), train_stage(params), out)


def begin_anew() -> None:
    """Forgets unfinished and finished work, so that the same command starts at step 0."""
    shutil.rmtree(".scratch")


def checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_stage_leaves_a_checkpoint_that_works_and_the_same_bytes_twice(
    models: Path, dataset: TinyDataset, params: DatasetParams, workspace: Path
) -> None:
    settings = params.model_copy(
        update={"train": params.train.model_copy(update={"sample_every": 3})}
    )
    train(models, dataset, settings, models / "one")
    begin_anew()
    train(models, dataset, settings, models / "two")
    found = checksums(models / "one")
    assert found == checksums(models / "two")
    assert {Path(name).suffix for name in found} == {".json", ".safetensors"}

    pipeline = load_pipeline(models / "one")
    assert not same_weights(pipeline.unet, load_unet(models / "backbone" / "unet"))
    assert pipeline.config.class_names == list(CLASSES.names)
    assert pipeline.config.image_size == [SIZE, SIZE]
    assert pipeline.config.formulation == params.flow.formulation
    assert pipeline.config.grid_power == params.inference.grid_power
    assert pipeline.config.tolerance == params.inference.tolerance
    assert pipeline.noise == noise_of(params.noise)
    assert pipeline.ends is None
    [label] = pipeline.segment(Image.new("RGB", (SIZE, SIZE)))
    assert label.shape == (SIZE, SIZE)

    logs = workspace / "logs" / "earth"
    lines = (logs / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
    values = {"loss", "velocity", "anchor", "learning_rate", "steps_per_second"}
    assert json.loads(lines[0]).keys() == {"step"} | values
    curve = read_curve(models / "one")
    assert curve is not None
    assert curve.steps == [1, 2, 3, 4]
    assert curve.values.keys() == values - {"steps_per_second"}
    for name, found_values in curve.values.items():
        assert found_values == [json.loads(line)[name] for line in lines]
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


def test_with_all_cures_an_interrupted_training_goes_on_to_the_same_bytes(
    models: Path,
    dataset: TinyDataset,
    params: DatasetParams,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    cured = with_all_cures(params)
    settings = cured.model_copy(
        update={"train": cured.train.model_copy(update={"sample_every": 3})}
    )
    train(models, dataset, settings, models / "one")
    begin_anew()

    def interrupt(_grid: SampleGrid, _step: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SampleGrid, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(models, dataset, settings, models / "two")
    capsys.readouterr()
    train(models, dataset, settings, models / "two")
    assert "train: resumed at step 2\n" in capsys.readouterr().err
    assert checksums(models / "one") == checksums(models / "two")

    pipeline = load_pipeline(models / "two")
    assert not same_weights(pipeline.unet, load_unet(models / "backbone" / "unet"))
    assert pipeline.noise == noise_of(cured.noise)
    ends, _ = first_statistics(
        replace(tiny_samples(cured, dataset), extras=extras_of(train_stage(cured))),
        lossless_autoencoder(scaling_factor=0.5),
        pipeline.noise,
        cured.flow,
    )
    assert ends is not None
    assert same_weights(pipeline.ends, ends)
    [label] = pipeline.segment(Image.new("RGB", (SIZE, SIZE)))
    assert label.shape == (SIZE, SIZE)
    [image] = pipeline.synthesize(label, seed=1)
    assert image.size == (SIZE, SIZE)


def test_what_samples_draw_beyond_the_usual_follows_from_the_parameters(
    params: DatasetParams,
) -> None:
    stage = train_stage(params)
    assert extras_of(stage) == Extras(batch_size=3)
    cured = train_stage(with_all_cures(params))
    assert extras_of(cured) == Extras(noises=1, latent_noise=True, own_steps=2, batch_size=3)


@pytest.mark.parametrize("standardised", [True, False])
@pytest.mark.parametrize("preconditioned", [True, False])
def test_first_statistics_are_of_the_first_samples_between_the_ends_that_are_trained(
    dataset: TinyDataset,
    params: DatasetParams,
    monkeypatch: pytest.MonkeyPatch,
    standardised: bool,
    preconditioned: bool,
) -> None:
    # Two batches, the last one smaller.
    monkeypatch.setattr(training_samples, "STATISTICS_BATCH", 3)
    monkeypatch.setattr(training_samples, "STATISTICS_SAMPLES", 4)
    samples, noise = tiny_samples(params, dataset), noise_of(params.noise)
    autoencoder = lossless_autoencoder(scaling_factor=0.5)
    changes: dict[str, object] = {"standardise_ends": standardised}
    if not preconditioned:
        changes["preconditioning"] = None
    settings = params.flow.model_copy(update=changes)
    ends, statistics = first_statistics(samples, autoencoder, noise, settings)
    assert (ends is not None, statistics is not None) == (standardised, preconditioned)
    batch = default_collate([samples[position] for position in range(4)])
    pair = list(end_points(autoencoder, batch, settings.posterior, noise))

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)

    if ends is not None:
        for end, x in enumerate(pair):
            torch.testing.assert_close(ends.mean[end], moments(x)[0])
            deviation = x.std(dim=(0, 2, 3)).clamp(min=1e-3)
            torch.testing.assert_close(ends.deviation[end], deviation)
        pair = [ends.image_in(pair[0]), ends.mask_in(pair[1])]
    if statistics is not None:
        mean, variance = (torch.cat(both) for both in zip(*map(moments, pair), strict=True))
        torch.testing.assert_close(statistics.mean, mean, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(statistics.covariance.diagonal(), variance, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mask_noise", ["variants", "moments"])
def test_training_on_cached_masks_is_another_training_and_the_same_twice(
    models: Path, dataset: TinyDataset, params: DatasetParams, mask_noise: str
) -> None:
    latents = params.latents.model_copy(update={"mask_noise": mask_noise, "mask_draws": 3})
    cached = params.model_copy(update={"latents": latents})
    train(models, dataset, params, models / "online")
    train(models, dataset, cached, models / "one")
    begin_anew()
    train(models, dataset, cached, models / "two")
    online, one, two = (sha256_of(models / name / WEIGHTS) for name in ("online", "one", "two"))
    assert one == two
    assert one != online


def test_an_output_that_is_lost_after_the_end_is_published_again_without_training(
    models: Path,
    dataset: TinyDataset,
    params: DatasetParams,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train(models, dataset, params, models / "pipeline")
    expected = checksums(models / "pipeline")
    lines = workspace / "logs/earth/train.jsonl"
    # DVC deletes the outputs of a stage whose end it has not seen, and anyone deletes logs.
    shutil.rmtree(models / "pipeline")
    lines.unlink()
    capsys.readouterr()
    train(models, dataset, params, models / "pipeline")
    assert "train: resumed at step 4\n" in capsys.readouterr().err
    assert checksums(models / "pipeline") == expected
    # A step would have been logged with its own speed.
    assert not lines.exists()


def test_the_next_training_that_begins_deletes_what_a_finished_one_has_left(
    models: Path, dataset: TinyDataset, params: DatasetParams, workspace: Path
) -> None:
    train(models, dataset, params, models / "pipeline")
    [state] = (workspace / ".scratch").rglob("*.pt")
    other = params.model_copy(update={"train": params.train.model_copy(update={"steps": 1})})
    train(models, dataset, other, models / "pipeline")
    [left] = (workspace / ".scratch").rglob("*.pt")
    assert left.name == "00000001.pt"
    assert not state.parent.exists()


def test_a_training_that_diverges_in_its_last_update_leaves_the_output_as_it_was(
    models: Path, dataset: TinyDataset, params: DatasetParams, workspace: Path
) -> None:
    train(models, dataset, params, models / "pipeline")
    before = checksums(models / "pipeline")
    update = {"steps": 1, "learning_rate": 1e38}
    wild = params.model_copy(update={"train": params.train.model_copy(update=update)})
    said = r"not finite after step 1, learning rate 1e\+38; lower train\.learning_rate$"
    for _ in range(2):
        with pytest.raises(UserError, match=said):
            train(models, dataset, wild, models / "pipeline")
    assert checksums(models / "pipeline") == before
    assert not list((workspace / ".scratch").rglob("*.pt"))
