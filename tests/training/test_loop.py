from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from accelerate import Accelerator
from loops import Lines, run
from support.tiny_data import TRAIN_SAMPLES
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import MICRO_BATCH, micro_batch
from semflow.training.loading import steps_to_come
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams


class Number(nn.Module):
    """One trained number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def number(self) -> float:
        return self.value.item()

    def forward(self) -> Tensor:
        return self.value


def pull(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
    """Draws the number towards ten times the batch's mean uniform draw."""
    return {"loss": (model() - 10 * batch["uniform"].mean()).square()}


def by_hand(start: float, samples: TrainingSamples, settings: TrainParams) -> tuple[float, float]:
    """AdamW, its schedule, clipping and the moving average in plain Python; value and average."""
    value, first, second, average = start, 0.0, 0.0, start
    beta_1, beta_2 = settings.adam_betas
    for step in range(settings.steps):
        positions = range(step * settings.batch_size, (step + 1) * settings.batch_size)
        draws = [float(samples[position]["uniform"]) for position in positions]
        gradient = 2 * (value - 10 * sum(draws) / len(draws))
        gradient *= min(1.0, settings.max_grad_norm / (abs(gradient) + 1e-6))
        rate = settings.learning_rate * _factor(step, settings)
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        value *= 1 - rate * settings.weight_decay
        root = math.sqrt(second / (1 - beta_2 ** (step + 1))) + 1e-8
        value -= rate * first / (1 - beta_1 ** (step + 1)) / root
        decay = min(settings.ema_decay, 1 - (1 + step) ** -0.9)
        average = decay * average + (1 - decay) * value
    return value, average


def _factor(step: int, settings: TrainParams) -> float:
    if step < settings.warmup_steps:
        return step / settings.warmup_steps
    done = (step - settings.warmup_steps) / (settings.steps - settings.warmup_steps)
    return {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
    }[settings.schedule]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.7])
def test_training_one_number_equals_adamw_written_out_by_hand(
    samples: TrainingSamples, params: DatasetParams, schedule: str, ema_decay: float
) -> None:
    settings = params.train.model_copy(
        update={
            "steps": 9,
            "batch_size": 4,
            "schedule": schedule,
            "warmup_steps": 2,
            "learning_rate": 0.1,
            "weight_decay": 0.3,
            "max_grad_norm": 5.0,
            "adam_betas": (0.8, 0.95),
            "ema_decay": ema_decay,
        }
    )
    model = Number(3.0)
    run(model, pull, samples, settings)
    value, average = by_hand(3.0, samples, settings)
    assert model.number() == pytest.approx(average, rel=1e-4)
    assert (value == pytest.approx(average)) == (ema_decay == 0)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_gradients_of_micro_batches_add_up_to_those_of_the_batch(
    samples: TrainingSamples, params: DatasetParams, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    def push(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        return {"loss": (model() - 10 * batch["uniform"]).square().mean()}

    settings = params.train.model_copy(update={"steps": 5, "batch_size": 6})
    whole, parts = Number(1.0), Number(1.0)
    lines = run(whole, push, samples, settings)
    monkeypatch.setenv(MICRO_BATCH, str(part))
    for (step, mine), (same_step, others) in zip(
        run(parts, push, samples, settings), lines, strict=True
    ):
        assert step == same_step
        assert mine == pytest.approx(others, rel=1e-5)
    assert parts.number() == pytest.approx(whole.number(), rel=1e-6)


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MICRO_BATCH, raising=False)
    assert micro_batch(6, 2) == 3
    with pytest.raises(UserError, match="batch_size 6 cannot be shared by 4 processes"):
        micro_batch(6, 4)
    with pytest.raises(UserError, match="batch_size 2 cannot be shared by 4 processes"):
        micro_batch(2, 4)
    monkeypatch.setenv(MICRO_BATCH, "2")
    assert micro_batch(8, 2) == 2
    assert micro_batch(2, 2) == 1
    with pytest.raises(UserError, match="SEMFLOW_MICRO_BATCH 2 does not divide the 3 samples"):
        micro_batch(6, 2)
    for wrong in ("0", "-1", "some"):
        monkeypatch.setenv(MICRO_BATCH, wrong)
        with pytest.raises(UserError, match=f"SEMFLOW_MICRO_BATCH is '{wrong}'"):
            micro_batch(6, 2)


def test_every_step_takes_the_next_positions_in_order(
    samples: TrainingSamples, params: DatasetParams
) -> None:
    taken: list[int] = []

    def note(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        taken.extend(batch["index"].tolist())
        return pull(model, batch)

    settings = params.train.model_copy(update={"steps": 7, "batch_size": 3})
    run(Number(0.0), note, samples, settings)
    assert taken == [int(samples[position]["index"]) for position in range(21)]
    assert sorted(taken[:TRAIN_SAMPLES]) == list(range(TRAIN_SAMPLES))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_take_what_one_process_takes_in_the_same_order(
    samples: TrainingSamples, params: DatasetParams, ranks: int
) -> None:
    # Ten samples: thirty-two positions reach into the fourth epoch.
    settings = params.train.model_copy(update={"steps": 8, "batch_size": 4})
    shares = []
    for rank in range(ranks):
        process = SimpleNamespace(num_processes=ranks, process_index=rank, device="cpu")
        with steps_to_come(samples, settings, cast(Accelerator, process), 0) as steps:
            shares.append(list(steps))
    taken = [
        samples.key(int(index))
        for step in zip(*shares, strict=True)
        for parts in step
        for part in parts
        for index in part["index"]
    ]
    assert taken == [samples.key(int(samples[i]["index"])) for i in range(32)]


def test_values_are_logged_every_so_often_and_at_the_end(
    samples: TrainingSamples, params: DatasetParams
) -> None:
    settings = params.train.model_copy(update={"steps": 7, "log_every": 3})
    log = run(Number(0.0), pull, samples, settings)
    assert [step for step, _ in log] == [3, 6, 7]
    assert all(values.keys() == {"loss", "learning_rate"} for _, values in log)


def test_who_watches_sees_the_average_and_disturbs_nothing(
    samples: TrainingSamples, params: DatasetParams
) -> None:
    settings = params.train.model_copy(
        update={"steps": 6, "sample_every": 4, "ema_decay": 0.9, "learning_rate": 0.1}
    )
    seen: list[tuple[int, float, bool]] = []

    watched, alone = Number(3.0), Number(3.0)

    def watch(step: int) -> None:
        seen.append((step, watched.number(), watched.training))

    run(watched, pull, samples, settings, watch)
    run(alone, pull, samples, settings.model_copy(update={"sample_every": 1000}))
    assert watched.number() == alone.number()
    _, after_four = by_hand(3.0, samples, settings.model_copy(update={"steps": 4}))
    assert [(step, training) for step, _, training in seen] == [(4, False), (6, False)]
    assert seen[0][1] == pytest.approx(after_four, rel=1e-4)
    assert seen[1][1] == watched.number()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_rate_and_keys(
    samples: TrainingSamples, params: DatasetParams, bad: float
) -> None:
    calls: list[int] = []

    def spoil(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        calls.append(1)
        factor = bad if len(calls) == 3 else 1.0
        return {"loss": pull(model, batch)["loss"] * factor}

    settings = params.train.model_copy(
        update={"steps": 5, "batch_size": 9, "schedule": "linear", "learning_rate": 0.01}
    )
    with pytest.raises(UserError) as refusal:
        run(Number(0.0), spoil, samples, settings)
    keys = [samples.key(int(samples[position]["index"])) for position in range(18, 27)]
    assert len(calls) == 3
    # Linear decay from step 0: two of five steps are done.
    assert str(refusal.value) == (
        f"the loss is {bad} at step 3, learning rate 0.006; lower test.learning_rate, "
        f"or look at the batch: {', '.join(keys[:8])} and 1 more"
    )


@pytest.mark.parametrize("name", ["train", "baseline"])
def test_weights_that_diverge_in_the_last_update_are_neither_returned_nor_saved(
    samples: TrainingSamples, params: DatasetParams, tmp_path: Path, name: str
) -> None:
    # 1e38 over Adam's correction of the first moment, 0.1, is beyond what float32 holds.
    settings = params.train.model_copy(update={"steps": 1, "learning_rate": 1e38})
    log = Lines()
    with pytest.raises(UserError) as refusal:
        optimise(
            Number(3.0),
            pull,
            samples,
            settings,
            Accelerator(cpu=True),
            Progress(name, log, watch_nothing),
            Checkpoints(tmp_path),
        )
    assert str(refusal.value) == (
        f"the weights are not finite after step 1, learning rate 1e+38; lower {name}.learning_rate"
    )
    assert not list(tmp_path.iterdir())
    assert [step for step, _ in log.lines] == [1]
