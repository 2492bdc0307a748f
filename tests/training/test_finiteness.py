"""Losses are read together and late, and still nothing that is not finite is saved or shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from accelerate import Accelerator
from loops import Lines
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.schema import DatasetParams
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints
from semflow.training.finiteness import LOSSES_EVERY, Finiteness
from semflow.training.loop import Progress, optimise
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.state import TrainingState, new_state

BAD_STEP = 3


class Weight(nn.Module):
    """One trained number."""

    def __init__(self, value: float = 1.0) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self) -> Tensor:
        return self.value


class Spoiling:
    """A loss that is not a number at one step; it counts its steps."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        self.steps += 1
        factor = float("nan") if self.steps == BAD_STEP else 1.0
        return {"loss": factor * (model() - batch["uniform"].mean()).square()}


@pytest.fixture
def seldom(params: DatasetParams) -> TrainParams:
    """Nothing is logged or shown before the last of many steps."""
    quiet = {"steps": 100, "log_every": 100, "sample_every": 100, "batch_size": 2}
    return params.train.model_copy(update=quiet | {"schedule": "linear", "learning_rate": 0.1})


def said(
    loss_of: Spoiling, samples: TrainingSamples, settings: TrainParams, folder: Path
) -> tuple[str, list[int], list[int]]:
    """The error of a training, the steps it logged and those it showed."""
    log, watched = Lines(), list[int]()
    progress = Progress("train", log, watched.append)
    with pytest.raises(UserError) as refusal:
        optimise(
            Weight(),
            loss_of,
            samples,
            settings,
            Accelerator(cpu=True),
            progress,
            Checkpoints(folder),
        )
    return str(refusal.value), [step for step, _ in log.lines], watched


def expected(samples: TrainingSamples) -> str:
    keys = [samples.key(int(samples[position]["index"])) for position in (4, 5)]
    # Linear decay: two of a hundred steps are done.
    return (
        "the loss is nan at step 3, learning rate 0.098; lower train.learning_rate, "
        f"or look at the batch: {keys[0]}, {keys[1]}"
    )


def test_a_loss_is_found_within_ten_steps_and_named_by_its_own(
    samples: TrainingSamples, seldom: TrainParams, tmp_path: Path
) -> None:
    loss_of = Spoiling()
    assert said(loss_of, samples, seldom, tmp_path) == (expected(samples), [], [])
    assert loss_of.steps == LOSSES_EVERY == 10
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("every", ["log_every", "sample_every"])
def test_it_is_found_before_anything_is_logged_or_shown(
    samples: TrainingSamples, seldom: TrainParams, tmp_path: Path, every: str
) -> None:
    loss_of = Spoiling()
    settings = seldom.model_copy(update={every: 4})
    assert said(loss_of, samples, settings, tmp_path) == (expected(samples), [], [])
    assert loss_of.steps == 4


def test_it_is_found_before_a_state_is_saved(
    samples: TrainingSamples,
    seldom: TrainParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    loss_of = Spoiling()
    assert said(loss_of, samples, seldom, tmp_path)[0] == expected(samples)
    assert loss_of.steps == BAD_STEP
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["00000001.pt", "00000002.pt"]


def test_weights_spoiled_by_a_finite_loss_are_not_saved_at_any_step(
    samples: TrainingSamples,
    seldom: TrainParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flat(model: nn.Module, _batch: TrainingSample) -> dict[str, Tensor]:
        """The root of zero: its value is finite, and its slope is not."""
        return {"loss": (model() - 1).square().sqrt()}

    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    with pytest.raises(UserError, match="the weights are not finite after step 1, learning rate"):
        optimise(
            Weight(),
            flat,
            samples,
            seldom,
            Accelerator(cpu=True),
            Progress("train", Lines(), lambda _step: None),
            Checkpoints(tmp_path),
        )
    assert not list(tmp_path.iterdir())


@pytest.fixture
def state(params: DatasetParams) -> TrainingState:
    return new_state(Weight(), params.train, Accelerator(cpu=True))


def among(others: list[int], samples: TrainingSamples) -> Finiteness:
    """What one of several processes knows; the others' first bad steps are given."""

    def gather(own: Tensor) -> Tensor:
        return torch.cat([own, torch.tensor(others)])

    team = SimpleNamespace(gather=gather, device="cpu", num_processes=1 + len(others))
    return Finiteness(samples, cast(Accelerator, team), 0.1, "train")


def test_the_process_with_the_first_bad_loss_says_so_and_the_others_that_one_does(
    samples: TrainingSamples, state: TrainingState
) -> None:
    state.step = 4
    never = 2**31 - 1
    for others, loss, message in (
        ([never], float("inf"), "the loss is inf at step 5"),
        ([5], float("inf"), "the loss is inf at step 5"),
        ([4], float("nan"), "the loss of another process is not finite at step 4"),
        ([never, 3], 1.0, "the loss of another process is not finite at step 3"),
    ):
        one = among(others, samples)
        one.note(torch.tensor(loss), torch.tensor([0]), state, "train")
        with pytest.raises(UserError, match=message):
            one.check_losses()
    all_is_well = among([never, never], samples)
    all_is_well.note(torch.tensor(1.0), torch.tensor([0]), state, "train")
    all_is_well.check_losses()


def test_a_loss_is_not_read_when_it_is_noted(
    samples: TrainingSamples, state: TrainingState
) -> None:
    finiteness = among([], samples)
    unreadable = torch.ones((), device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        float(unreadable)
    finiteness.note(unreadable, torch.tensor([0]), state, "train")
