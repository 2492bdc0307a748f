"""What a past commit holds: from the cache, from the remote, or made anew and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.artifacts import flat
from flows.graph import Stage
from flows.record import Checkpoint
from flows.stage import StageFailed, StageMissing, checkout, pull
from flows.workspace import Workspace, git, has_remote
from semflow.core.errors import UserError
from semflow.core.files import read_json


def restore(found: Workspace, stages: Sequence[Stage]) -> str | None:
    """Brings back what dvc.lock names, without running anything.

    Args:
        found: A workspace at the commit.
        stages: All of whose outputs are wanted.

    Returns:
        Where from, "the cache" or "the remote"; None where not all of it is to be had.

    Raises:
        StageInterrupted: The remote is away, after retries.
        StageFailed: It cannot be read: whether it has all of it is not known.
    """
    outs = [found.folder / out for stage in stages for out in stage.outs]
    addresses = [stage.address for stage in stages]
    with suppress(StageFailed):
        checkout(addresses, str(found.folder))
    if all(out.exists() for out in outs):
        return "the cache"
    if has_remote(found.folder):
        with suppress(StageMissing):
            pull(addresses, str(found.folder))
        if all(out.exists() for out in outs):
            return "the remote"
    return None


def locked_md5(root: Path, address: str, out: str) -> str | None:
    """The hash that dvc.lock holds for an output; None where it holds none."""
    lock = root / "dvc.lock"
    stages: dict[str, Any] = YAML(typ="safe").load(lock)["stages"] if lock.is_file() else {}
    for entry in stages.get(address, {}).get("outs", ()):
        if entry["path"] == out:
            return str(entry["md5"])
    return None


def comparison(made: Checkpoint, md5: str | None, noted: Checkpoint | None) -> tuple[bool, str]:
    """Whether a checkpoint is what a commit holds, as far as it must be.

    Args:
        made: The one at hand.
        md5: Of the commit's dvc.lock.
        noted: What the commit notes beside, if it was made by a flow.

    Returns:
        False only where hardware and versions are those of the commit and the bytes are not; and a
        sentence that says what was found.
    """
    if made.md5 == md5:
        return True, f"the same bytes as the commit's (md5 {md5})"
    if md5 is None:
        return True, f"the commit's dvc.lock names no checkpoint; this one has md5 {made.md5}"
    if noted is None:
        return True, (
            f"md5 {made.md5}, the commit's {md5}; the commit does not note the hardware and "
            "versions, so that the bytes may differ"
        )
    weights = "the same" if dict(noted.weights) == dict(made.weights) else "other"
    said = f"md5 {made.md5}, the commit's {md5}; {weights} weights (sha256)"
    differing = sorted(_differing(made, noted))
    if differing:
        return True, f"{said}; made elsewhere ({', '.join(differing)})"
    return False, f"{said}, although hardware and versions are those of the commit"


def _differing(made: Checkpoint, noted: Checkpoint) -> Iterator[str]:
    for here, there in ((made.versions, noted.versions), (made.hardware, noted.hardware)):
        for name in here.keys() | there.keys():
            if here.get(name) != there.get(name):
                yield f"{name} {here.get(name)}, there {there.get(name)}"


@dataclass(frozen=True)
class Row:
    """One metric.

    Args:
        metric: Dotted name.
        commit: Its value at the commit; None where only this run has it.
        here: Its value in this run; None where only the commit has it.
        difference: Of here to there; None where either is missing.
    """

    metric: str
    commit: float | None
    here: float | None
    difference: float | None


def metrics_at(repository: Path, commit: str, paths: Sequence[str]) -> dict[str, float]:
    """Every number of a commit's metrics by dotted name.

    Args:
        repository: That knows the commit.
        commit: Full hash.
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
