from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from accelerate import Accelerator

from semflow.training import checkpoints as module
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints
from semflow.training.state import TrainingState


class Clock:
    """Shows what it was set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def saved_within(checkpoints: Checkpoints, clock: Clock, seconds: float) -> None:
    """Saves a state that takes so long to gather."""

    def to_dict() -> dict[str, int]:
        clock.now += seconds
        return {"step": 1}

    state = cast(TrainingState, SimpleNamespace(to_dict=to_dict, step=1))
    checkpoints.save(state, Accelerator(cpu=True))


def due_after(checkpoints: Checkpoints, clock: Clock, *waits: float) -> list[bool]:
    """Whether a state is due so many seconds from now."""
    start, found = clock.now, []
    for wait in waits:
        clock.now = start + wait
        found.append(checkpoints.due)
    clock.now = start
    return found


def test_the_first_state_and_those_after_quick_ones_keep_to_the_interval(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECONDS_VARIABLE, raising=False)
    checkpoints = Checkpoints(tmp_path)
    assert due_after(checkpoints, clock, 59, 60) == [False, True]
    saved_within(checkpoints, clock, 1.0)
    assert due_after(checkpoints, clock, 59, 60) == [False, True]


def test_after_a_state_that_took_long_the_next_waits_fifty_times_as_long(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "60")
    checkpoints = Checkpoints(tmp_path)
    saved_within(checkpoints, clock, 20.0)
    assert due_after(checkpoints, clock, 999, 1000) == [False, True]
    # Of 1020 seconds 20 go to saving: less than 2%.
    saved_within(checkpoints, clock, 2.0)
    assert due_after(checkpoints, clock, 99, 100) == [False, True]


def test_at_0_seconds_every_step_is_saved_whatever_it_takes(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    checkpoints = Checkpoints(tmp_path)
    saved_within(checkpoints, clock, 20.0)
    assert checkpoints.due
