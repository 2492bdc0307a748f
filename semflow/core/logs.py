"""Training logs: outside every hashed output, so that they never make a stage stale."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path


def log_folder(dataset: str) -> Path:
    """Where a data set's logs go."""
    return Path("logs") / dataset


class TrainingLog:
    """Values by step, as JSON lines, for DVCLive and for TensorBoard.

    The lines of `logs/<dataset>/<name>.jsonl` are what counts; `<name>/dvclive` and
    `<name>/tensorboard` beside it are made from them.

    Args:
        dataset: its name.
        name: what is trained.
    """

    def __init__(self, dataset: str, name: str) -> None:
        self._lines = log_folder(dataset) / f"{name}.jsonl"
        self._folder = log_folder(dataset) / name

    def start(self, step: int) -> None:
        """Forgets what was logged after a step, which is logged again; after 0, everything."""
        # Imported here: only what trains needs them, and they take seconds.
        from dvclive.live import Live
        from torch.utils.tensorboard import SummaryWriter

        kept = [line for line in self._read() if line["step"] <= step]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._lines.unlink(missing_ok=True)
        self._tensorboard = SummaryWriter(self._folder / "tensorboard")
        # DVC runs this stage, so DVCLive makes no experiment and no dvc.yaml of its own.
        self._live = Live(str(self._folder / "dvclive"), save_dvc_exp=False, dvcyaml=None)
        for line in kept:
            self._write(int(line.pop("step")), line)
        self._flush()
        self._last = (step, time.monotonic())

    def add(self, step: int, values: dict[str, float]) -> None:
        """Appends the values of a step, and the steps a second since the last line."""
        before, then = self._last
        self._last = (step, time.monotonic())
        speed = (step - before) / max(self._last[1] - then, 1e-9)
        self._write(step, {**values, "steps_per_second": speed})
        self._flush()

    def _write(self, step: int, values: dict[str, float]) -> None:
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
            self._tensorboard.add_scalar(name, value, step)

    def _flush(self) -> None:
        self._live.make_summary()
        self._tensorboard.flush()

    def _read(self) -> list[dict[str, float]]:
        if not self._lines.exists():
            return []
        lines = self._lines.read_text(encoding="utf-8").splitlines(keepends=True)
        # A kill can cut the last line short.
        return [json.loads(line) for line in lines if line.endswith("\n")]
