"""Batches by worker processes: the same bytes, the same errors, and nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import cast

import psutil
import pytest
import torch
from accelerate import Accelerator
from loops import Lines
from support.tiny import TinyDataset, same_weights, tiny_samples, with_all_cures
from support.tiny_data import BACKBONE
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints
from semflow.training.loading import ON_HOST, steps_to_come
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.speed import WORKERS

ALONE = Accelerator(cpu=True)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def settings(params: DatasetParams) -> TrainParams:
    return params.train.model_copy(update={"steps": 8, "batch_size": 6, "ema_decay": 0.9})


@pytest.fixture(scope="module")
def noisy(params: DatasetParams, dataset: TinyDataset) -> TrainingSamples:
    """Samples whose noise has several grains."""
    return tiny_samples(with_all_cures(params), dataset)


def train(
    samples: TrainingSamples, settings: TrainParams, folder: Path, die_after: int = -1
) -> nn.Module:
    channels = len(samples[0]["moments"]) // 2
    model, begun = scratch_unet(BACKBONE, 0, channels, channels), 0

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        nonlocal begun
        if begun == die_after:
            raise Killed
        begun += 1
        x = batch["moments"].chunk(2, dim=1)[0]
        found = model(x, batch["uniform"] * 1000, torch.zeros(len(x), 1, 8)).sample
        loss = (found - batch["moments_noise"]).square().mean()
        return {"loss": loss * (1 + batch["mask_noise"].square().mean())}

    progress = Progress("train", Lines(), watch_nothing)
    optimise(model, loss_of, samples, settings, ALONE, progress, Checkpoints(folder))
    return model


def workers_left() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "resource_tracker" not in _line(one)]


def _line(process: psutil.Process) -> str:
    return " ".join(process.cmdline())


def test_any_number_of_workers_trains_the_same_bytes_also_after_a_kill(
    noisy: TrainingSamples, settings: TrainParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    before = workers_left()
    trained = {}
    for number in (0, 1, 3):
        monkeypatch.setenv(WORKERS, str(number))
        trained[number] = train(noisy, settings, tmp_path / str(number))
    assert same_weights(trained[0], trained[1])
    assert same_weights(trained[0], trained[3])

    with pytest.raises(Killed):
        train(noisy, settings, tmp_path / "cut", die_after=3)
    assert workers_left() == before
    monkeypatch.setenv(WORKERS, "2")
    assert same_weights(trained[0], train(noisy, settings, tmp_path / "cut"))
    assert workers_left() == before


@pytest.mark.parametrize("workers", ["0", "2"])
def test_batches_come_in_order_with_what_python_reads_on_the_host(
    samples: TrainingSamples,
    settings: TrainParams,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
) -> None:
    monkeypatch.setenv(WORKERS, workers)
    monkeypatch.setenv("SEMFLOW_MICRO_BATCH", "3")
    with steps_to_come(samples, settings, ALONE, 5) as steps:
        found = [[part["index"].tolist() for part in parts] for parts in steps]
    positions = range(5 * 6, 8 * 6)
    indices = [int(samples[position]["index"]) for position in positions]
    assert found == [[indices[i : i + 3], indices[i + 3 : i + 6]] for i in range(0, 18, 6)]
    assert set(ON_HOST) <= TrainingSample.__annotations__.keys()


class Spoiled:
    """Samples of which one cannot be read."""

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        if position == 4:
            raise UserError("a tar has no such member; run again the stage that makes it")
        return {"index": torch.tensor(position)}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_sample_that_cannot_be_read_is_the_same_one_line_and_ends_the_workers(
    settings: TrainParams, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv(WORKERS, workers)
    small, before, seen = settings.model_copy(update={"batch_size": 2}), workers_left(), []

    def take_all() -> None:
        with steps_to_come(cast(TrainingSamples, Spoiled()), small, ALONE, 0) as steps:
            for parts in steps:
                seen.append(parts[0]["index"].tolist())

    with pytest.raises(UserError) as refusal:
        take_all()
    assert str(refusal.value) == "a tar has no such member; run again the stage that makes it"
    assert seen == [[0, 1], [2, 3]]
    assert workers_left() == before


class Deaf:
    """Samples of which the fifth takes longer than anybody waits."""

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        # Two batches are drawn ahead, and the third one is asked for when the first has come.
        if position == 4:
            os.kill(os.getpid(), signal.SIGSTOP)
        return {"index": torch.tensor(position)}


def test_workers_hear_no_signal_of_a_scheduler_but_end_when_the_training_does(
    settings: TrainParams, monkeypatch: pytest.MonkeyPatch, samples: TrainingSamples
) -> None:
    monkeypatch.setenv(WORKERS, "2")
    before = workers_left()
    with steps_to_come(samples, settings, ALONE, 0) as steps:
        first = next(steps)
        workers = [one for one in workers_left() if one not in before]
        assert len(workers) == 2
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
            worker.send_signal(signal.SIGINT)
        assert len(first) == 1
        assert len(list(steps)) == settings.steps - 1
    assert workers_left() == before


def test_a_worker_that_hangs_is_killed(
    settings: TrainParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, "1")
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    small = settings.model_copy(update={"batch_size": 2})
    before = workers_left()
    with steps_to_come(cast(TrainingSamples, Deaf()), small, ALONE, 0) as steps:
        next(steps)
    assert workers_left() == before
