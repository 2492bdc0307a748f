"""Training logs: outside every hashed output, so that they never make a stage stale."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from semflow.core.trackers import chosen_trackers, start_trackers

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker


def log_folder(dataset: str) -> Path:
    """Where a data set's logs go."""
    return Path("logs") / dataset


class TrainingLog:
    """Values by step, as JSON lines, for DVCLive and for the trackers of SEMFLOW_TRACKERS.

    The lines of `logs/<dataset>/<name>.jsonl` are what counts; `<name>/dvclive` and the trackers'
    folders beside it are made from them.

    Args:
        dataset: its name.
        name: what is trained.

    Raises:
        UserError: SEMFLOW_TRACKERS asks for what there is not.
    """

    def __init__(self, dataset: str, name: str) -> None:
        self._lines = log_folder(dataset) / f"{name}.jsonl"
        self._folder = log_folder(dataset) / name
        self._run = f"{dataset}/{name}"
        self._chosen = chosen_trackers()
        self._trackers: list[GeneralTracker] = []

    def start(self, step: int) -> None:
        """Forgets what was logged after a step, which is logged again; after 0, everything."""
        # Imported here: only what trains needs it, and it takes seconds.
        from dvclive.live import Live

        for tracker in self._trackers:
            tracker.finish()
        kept = [line for line in self._read() if line["step"] <= step]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._lines.unlink(missing_ok=True)
        self._trackers = start_trackers(self._chosen, self._folder, self._run)
        # DVC runs this stage, so DVCLive makes no experiment and no dvc.yaml of its own.
        self._live = Live(str(self._folder / "dvclive"), save_dvc_exp=False, dvcyaml=None)
        for line in kept:
            self._write(int(line.pop("step")), line)
        self._live.make_summary()
        self._last = (step, time.monotonic())

    def add(self, step: int, values: dict[str, float]) -> None:
        """Appends the values of a step, and the steps a second since the last line."""
        before, then = self._last
        self._last = (step, time.monotonic())
        speed = (step - before) / max(self._last[1] - then, 1e-9)
        self._write(step, {**values, "steps_per_second": speed})
        self._live.make_summary()

    def _write(self, step: int, values: dict[str, float]) -> None:
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        for tracker in self._trackers:
            tracker.log(values, step)

    def _read(self) -> list[dict[str, float]]:
        if not self._lines.exists():
            return []
        lines = self._lines.read_text(encoding="utf-8").splitlines(keepends=True)
        # A kill can cut the last line short.
        return [json.loads(line) for line in lines if line.endswith("\n")]
