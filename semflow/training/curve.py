"""The values that a training has logged, without its times, as a file of its checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json, write_text
from semflow.params.fields import Positive

CURVE = "training.json"
"""Name of the file in a checkpoint."""


class Log(Protocol):
    """Where values go; a TrainingLog."""

    def start(self, step: int) -> None:
        """Begins after so many steps; what was logged of later ones will come again."""
        ...

    def add(self, step: int, values: dict[str, float]) -> None:
        """Takes the values of one step."""
        ...


class TrainingCurve(BaseModel):
    """The whole of training.json.

    steps: Numbers of updates done, increasing.
    values: By name, such as loss and learning_rate, one value for each of the steps: losses are
        those of the step's batch alone, in the mean over processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: list[Positive]
    values: dict[str, list[float]]

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if sorted(set(self.steps)) != self.steps:
            raise ValueError("steps do not increase")
        if odd := [name for name, one in self.values.items() if len(one) != len(self.steps)]:
            raise ValueError(f"{odd[0]!r} has not one value for each of {len(self.steps)} steps")
        return self


class CurveLog:
    """A training's log beside its saved states, which goes wherever these go.

    What people look at lies in `logs/` and may be deleted, or belong to another run, when an
    interrupted training goes on; its checkpoint must have the same bytes all the same.

    Args:
        folder: Where the states of the training lie.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "curve.jsonl"

    def start(self, step: int) -> None:
        """Forgets what was logged after a step."""
        kept = [line for line in self._read() if line["step"] <= step]
        write_text(self._path, "".join(map(_as_line, kept)))

    def add(self, step: int, values: dict[str, float]) -> None:
        """Appends the values of a step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_as_line({"step": step, **values}))
            file.flush()
            # A state that is saved later must not outlive its line.
            os.fsync(file.fileno())

    def curve(self) -> TrainingCurve:
        """All that was logged; a value that not every step has is left out."""
        lines = self._read()
        names = [name for name in (lines[0] if lines else {}) if name != "step"]
        values = {name: [line[name] for line in lines] for name in names}
        return TrainingCurve(steps=[int(line["step"]) for line in lines], values=values)

    def _read(self) -> list[dict[str, float]]:
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8").splitlines(keepends=True)
        # A kill can cut the last line short.
        return [json.loads(line) for line in lines if line.endswith("\n")]


class Logs:
    """Several logs that get the same values.

    Args:
        logs: In the order in which they get them.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs

    def start(self, step: int) -> None:
        """Begins after so many steps in all of them."""
        for log in self._logs:
            log.start(step)

    def add(self, step: int, values: dict[str, float]) -> None:
        """Hands the values of one step to all of them."""
        for log in self._logs:
            log.add(step, values)


def write_curve(curve: TrainingCurve, checkpoint: Path) -> None:
    """Writes it into the folder of a checkpoint."""
    write_json(checkpoint / CURVE, curve.model_dump(mode="json"))


def read_curve(checkpoint: Path) -> TrainingCurve | None:
    """The curve of a checkpoint; None of one that was made without, as by earlier versions.

    Raises:
        UserError: The file is not what `write_curve` writes.
    """
    path = checkpoint / CURVE
    if not path.is_file():
        return None
    try:
        return TrainingCurve.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(
            f"{path} holds no training's values ({error.error_count()} misfits); "
            "delete it, or make the checkpoint anew: dvc repro train"
        ) from None


def _as_line(values: Mapping[str, float]) -> str:
    return json.dumps(values) + "\n"
