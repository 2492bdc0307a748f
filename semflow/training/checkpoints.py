"""Unfinished training on disk: written whole, rotated, and taken up again by the same command."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.core.files import read_json, sha256_of, write_json
from semflow.training.state import TrainingState

SECONDS_VARIABLE = "SEMFLOW_CHECKPOINT_SECONDS"
DEFAULT_SECONDS = 60.0
KEPT = 2
LATEST = "latest.json"


class Checkpoints:
    """A folder of training states, of which the newest sound one counts.

    `latest.json` names the newest; a state is renamed into place before it is named there, so a
    kill at any moment leaves a state that can be read.

    Args:
        folder: a scratch folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds = _seconds_between()
        self._saved_at = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last state is older than $SEMFLOW_CHECKPOINT_SECONDS, by default 60."""
        return time.monotonic() - self._saved_at >= self._seconds

    def save(self, state: TrainingState, accelerator: Accelerator) -> None:
        """Writes a state, then names it as the latest, then deletes the oldest.

        All processes must call it; the main one writes.
        """
        values = state.to_dict()
        if accelerator.is_main_process:
            self._write(state.step, values)
        self._saved_at = time.monotonic()

    def _write(self, step: int, values: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{step:08d}.pt"
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256_of(partial)
        partial.replace(path)
        write_json(self._folder / LATEST, {"file": path.name, "sha256": digest})
        for old in sorted(self._folder.glob("*.pt"))[:-KEPT]:
            old.unlink()

    def restore(self, state: TrainingState) -> None:
        """Brings a new state to where the latest one was; leaves it as it is where none exists.

        Raises:
            UserError: a state is there but altered.
        """
        if not (self._folder / LATEST).exists():
            return
        latest = read_json(self._folder / LATEST)
        path = self._folder / latest["file"]
        if not path.is_file() or sha256_of(path) != latest["sha256"]:
            raise UserError(
                f"{path} is missing or was altered; delete {self._folder} to train from the start"
            )
        state.load_dict(read_state(path))


def read_state(path: Path) -> dict[str, Any]:
    """Reads tensors and plain values; never unpickles objects."""
    # Mapped: the processes of a node that share a network read one copy of it.
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state


def _seconds_between() -> float:
    value = os.environ.get(SECONDS_VARIABLE, "")
    try:
        seconds = float(value or DEFAULT_SECONDS)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UserError(f"{SECONDS_VARIABLE} must be a number of seconds, got {value!r}")
    return seconds
