"""A past commit's metrics beside those made here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.artifacts import flat
from flows.graph import Stage
from flows.workspace import git
from semflow.core.errors import UserError
from semflow.core.files import read_json


@dataclass(frozen=True)
class Row:
    """One metric.

    Args:
        metric: dotted name.
        commit: its value at the commit; None where only this run has it.
        here: its value in this run; None where only the commit has it.
        difference: of here to there; None where either is missing.
    """

    metric: str
    commit: float | None
    here: float | None
    difference: float | None


def metrics_at(repository: Path, commit: str, paths: Sequence[str]) -> dict[str, float]:
    """Every number of a commit's metrics by dotted name.

    Args:
        repository: that knows the commit.
        commit: full hash.
        paths: JSON files; what the commit has not, or not as JSON, is left out.
    """
    found: dict[str, float] = {}
    for path in paths:
        with suppress(UserError, json.JSONDecodeError):
            found.update(_numbers(json.loads(git(repository, "show", f"{commit}:{path}"))))
    return found


def metrics_here(folder: Path, paths: Sequence[str]) -> dict[str, float]:
    """The same of a folder's files."""
    files = [folder / path for path in paths]
    return {
        name: value
        for file in files
        if file.is_file()
        for name, value in _numbers(read_json(file)).items()
    }


def metric_paths(stages: Sequence[Stage]) -> list[str]:
    """Metrics that git holds: tracked outputs in JSON."""
    return [out for stage in stages for out in stage.tracked if out.endswith(".json")]


def side_by_side(commit: Mapping[str, float], here: Mapping[str, float]) -> list[Row]:
    """All metrics that either has, the commit's first."""
    return [
        Row(name, commit.get(name), here.get(name), _difference(commit.get(name), here.get(name)))
        for name in dict.fromkeys([*commit, *here])
    ]


def largest_difference(rows: Sequence[Row]) -> str:
    """The metric that differs most, in a sentence.

    Most in proportion to the larger of its two values: distances are not on the scale of
    accuracies.
    """
    both = [row for row in rows if row.difference is not None]
    if not both:
        return "the commit holds no metrics to compare with"
    row = max(both, key=_share)
    if row.difference == 0:
        return f"all {len(both)} metrics are equal"
    return f"largest difference: {row.metric} {row.commit:.4g} there, {row.here:.4g} here"


def _share(row: Row) -> float:
    larger = max(abs(row.commit or 0.0), abs(row.here or 0.0))
    return abs(row.difference or 0.0) / larger if larger else 0.0


def _difference(there: float | None, here: float | None) -> float | None:
    return None if there is None or here is None else here - there


def _numbers(content: Any) -> dict[str, float]:
    # A curve is a list, and its points are in the metrics too.
    return dict(flat(content)) if isinstance(content, Mapping) else {}
