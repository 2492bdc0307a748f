"""Training logs: outside every hashed output, so that they never make a stage stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def log_folder(dataset: str) -> Path:
    """Where a data set's logs go."""
    return Path("logs") / dataset


def value_log(dataset: str, name: str) -> Callable[[int, dict[str, float]], None]:
    """A function that appends (step, values) as a line of `logs/<dataset>/<name>.jsonl`."""
    path = log_folder(dataset) / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)

    def log(step: int, values: dict[str, float]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    return log
