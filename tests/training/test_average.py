from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.loop import update, watch_average
from semflow.training.state import TrainingState, new_state

NUMBERS = 200 * 300


def state_after_steps(params: DatasetParams, ema_decay: float, steps: int) -> TrainingState:
    """One matrix drawn towards zero by so many steps."""
    torch.manual_seed(0)
    model = nn.Linear(200, 300, bias=False)
    settings = params.train.model_copy(
        update={"ema_decay": ema_decay, "warmup_steps": 0, "learning_rate": 0.1}
    )
    state = new_state(model, settings, Accelerator(cpu=True))
    for _ in range(steps):
        model.weight.square().mean().backward()
        update(state, Accelerator(cpu=True), settings.max_grad_norm)
    return state


def bytes_saved(state: TrainingState, folder: Path) -> int:
    Checkpoints(folder).save(state, Accelerator(cpu=True))
    return next(folder.glob("*.pt")).stat().st_size


def test_without_decay_no_copy_of_the_weights_is_kept_or_saved(
    params: DatasetParams, tmp_path: Path
) -> None:
    without, with_average = (state_after_steps(params, decay, 1) for decay in (0.0, 0.5))
    assert without.average is None
    assert without.weights() == list(without.model.parameters())
    assert len(with_average.weights()) == 2
    more, fewer = bytes_saved(with_average, tmp_path / "1"), bytes_saved(without, tmp_path / "0")
    # float32, and what names and places take.
    assert 4 * NUMBERS <= more - fewer < 4 * NUMBERS + 2000


def test_without_decay_the_weights_are_the_average_bit_for_bit(params: DatasetParams) -> None:
    state = state_after_steps(params, 0.0, 3)
    weight = next(state.model.parameters())
    before, seen = weight.detach().clone(), []
    watch_average(state, lambda _step: seen.append(weight.detach().clone()))
    assert torch.equal(seen[0], before)
    assert torch.equal(state.averaged()["weight"], before)
    assert state.model.training


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_a_state_is_read_again_with_its_average_or_without(
    params: DatasetParams, tmp_path: Path, ema_decay: float
) -> None:
    state = state_after_steps(params, ema_decay, 3)
    bytes_saved(state, tmp_path)
    other = state_after_steps(params, ema_decay, 0)
    Checkpoints(tmp_path).restore(other)
    assert other.step == 3
    pairs = zip(state.weights(), other.weights(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
