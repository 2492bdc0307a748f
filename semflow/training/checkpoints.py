"""Unfinished training on disk: states that the same command goes on from."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.core.resume import newest_state, save_state
from semflow.training.state import TrainingState

SECONDS_VARIABLE = "SEMFLOW_CHECKPOINT_SECONDS"
DEFAULT_SECONDS = 60.0
PAUSE = 50
"""Between two states, in units of what the first of them took to save: 2% of the time at most."""


class Checkpoints:
    """States of one training in a folder, of which the newest sound one counts.

    Args:
        folder: The run's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds = seconds_between()
        self._saved_at = time.monotonic()
        self._took = 0.0

    @property
    def due(self) -> bool:
        """Whether the last state is old enough for another one; to be asked of the main process.

        That is $SEMFLOW_CHECKPOINT_SECONDS after it, by default 60, and not before PAUSE times as
        long as it took to save: large networks on slow disks are saved more rarely. At 0 seconds
        every step is saved, whatever that takes.
        """
        pause = max(self._seconds, PAUSE * self._took) if self._seconds else 0.0
        return time.monotonic() - self._saved_at >= pause

    def save(self, state: TrainingState, accelerator: Accelerator) -> None:
        """Writes a state; all processes must call it, the main one writes."""
        began = time.monotonic()
        values = state.to_dict()
        if accelerator.is_main_process:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_state(self._folder, state.step, partial(torch.save, values))
        self._saved_at = time.monotonic()
        self._took = self._saved_at - began

    def restore(self, state: TrainingState) -> None:
        """Brings a new state to where the newest sound one was; without one it stays as it is."""
        path = newest_state(self._folder)
        if path is not None:
            state.load_dict(read_state(path))


def read_state(path: Path) -> dict[str, Any]:
    """Reads tensors and plain values; never unpickles objects."""
    # Mapped: the processes of a node that share a network read one copy of it.
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


def seconds_between() -> float:
    """Seconds between two saved states, at least; 0 after every step.

    Raises:
        UserError: The variable holds no number of seconds.
    """
    value = os.environ.get(SECONDS_VARIABLE, "")
    try:
        seconds = float(value or DEFAULT_SECONDS)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UserError(f"{SECONDS_VARIABLE} must be a number of seconds, got {value!r}")
    return seconds
