"""What `semflow inspect --json` says: the same results as plain values, for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semflow.cli.contents import (
    INDEX,
    METRICS,
    describe,
    sound_manifest,
)
from semflow.cli.history import commit_lines
from semflow.core.files import read_json, sha256_of
from semflow.core.provenance import PROVENANCE
from semflow.evaluation.results import read_metrics
from semflow.shards.manifest import MANIFEST


def facts(path: Path) -> dict[str, Any]:
    """JSON values about a shard folder, a checkpoint, or a report's metrics.

    Args:
        path: Below data/, models/ or reports/.

    Returns:
        `kind`, `path`, `commit` (a line of history, or null) and, of shards, `splits`; of a
        checkpoint `index`, `weights` (sha256 by file) and `provenance`; of a report `metrics`.

    Raises:
        UserError: It is none of these, or not sound.
    """
    # It reads and checks all that follows, so that both ways refuse the same.
    _, tracked = describe(path)
    commit = next((line.partition("commit: ")[2] for line in commit_lines(tracked)), None)
    about = {"path": str(path), "commit": commit}
    if (path / INDEX).is_file():
        made = path / PROVENANCE
        weights = sorted(path.glob("*/*.safetensors"))
        return {
            **about,
            "kind": "checkpoint",
            "index": read_json(path / INDEX),
            "weights": {str(one.relative_to(path)): sha256_of(one) for one in weights},
            "provenance": read_json(made) if made.is_file() else None,
        }
    if tracked.name == METRICS:
        metrics = read_metrics(tracked).model_dump(mode="json")
        return {**about, "kind": "report", "metrics": metrics}
    folders = [path] if (path / MANIFEST).is_file() else sorted(path.glob("*/"))
    splits = {folder.name: _split(folder) for folder in folders if (folder / MANIFEST).is_file()}
    return {**about, "kind": "shards", "splits": splits}


def _split(folder: Path) -> dict[str, Any]:
    manifest = sound_manifest(folder)
    shards = list(manifest.shards())
    return {
        "samples": len(manifest),
        "tars": manifest.tars,
        "bytes": sum(shard.bytes for shard in shards),
        "members": sorted({name for shard in shards for name in shard.members}),
        "about": dict(manifest.about),
    }
