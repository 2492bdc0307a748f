"""What a past commit holds: from the cache, from the remote, or made anew and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from flows.graph import Stage
from flows.output import StageFailed
from flows.record import Checkpoint
from flows.stage import pull
from flows.workspace import Workspace, dvc, has_remote
from semflow.core.errors import UserError

UNREADABLE = "failed to connect"
"""What DVC says of a remote that it cannot ask; not of one that lacks a file."""


def restore(found: Workspace, stages: Sequence[Stage]) -> str | None:
    """Brings back what dvc.lock names, without running anything.

    Args:
        found: a workspace at the commit.
        stages: all of whose outputs are wanted.

    Returns:
        Where from, "the cache" or "the remote"; None where not all of it is to be had.

    Raises:
        StageInterrupted: the remote is away, after retries.
        StageFailed: it cannot be read: whether it has all of it is not known.
    """
    outs = [found.folder / out for stage in stages for out in stage.outs]
    addresses = [stage.address for stage in stages]
    with suppress(UserError):
        dvc(found.folder, "checkout", *addresses)
    if all(out.exists() for out in outs):
        return "the cache"
    if has_remote(found.folder):
        try:
            pull(addresses, str(found.folder))
        except StageFailed as failed:
            if UNREADABLE in str(failed):
                raise
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
        made: the one at hand.
        md5: of the commit's dvc.lock.
        noted: what the commit notes beside, if it was made by a flow.

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
