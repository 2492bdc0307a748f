"""A finished run as a commit: its parameters, dvc.lock and metrics on a branch of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.graph import GRAPH_FILES, Stage
from flows.workspace import Workspace, git
from semflow.cli.history import dvc_md5
from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.core.provenance import read_provenance

TRAILER = "Checkpoint: "
LOCK_FILES = [str(Path(graph).with_suffix(".lock")) for graph in GRAPH_FILES]


@dataclass(frozen=True)
class Checkpoint:
    """What a commit notes of a checkpoint, which itself lies in the cache.

    Args:
        md5: As dvc.lock has it.
        weights: Sha256 of each weights file by its path in the checkpoint.
        versions: Of Python and packages; empty where unknown.
        hardware: That it was trained on; empty where unknown.
    """

    md5: str
    weights: Mapping[str, str]
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Hashes a checkpoint and reads what it notes of its making."""
    made = read_provenance(folder)
    weights = sorted(folder.glob("*/*.safetensors"))
    return Checkpoint(
        dvc_md5(folder),
        {path.relative_to(folder).as_posix(): sha256_of(path) for path in weights},
        made.versions if made else {},
        made.hardware if made else {},
    )


def noted_checkpoint(repository: Path, commit: str) -> Checkpoint | None:
    """What a commit made by `record` notes; None for any other commit."""
    for line in git(repository, "log", "-1", "--format=%B", commit).splitlines():
        if line.startswith(TRAILER):
            return Checkpoint(**json.loads(line.removeprefix(TRAILER)))
    return None


def record(
    found: Workspace, title: str, stages: Sequence[Stage], checkpoint: Checkpoint
) -> tuple[str, str]:
    """Commits on `runs/<name>` and tags it with the name; the user's branch stays where it is.

    Args:
        found: Where the run has worked.
        title: First line of the message.
        stages: Whose outputs git holds are committed too.
        checkpoint: Noted in the message.

    Returns:
        The full hash, and the branch. Where nothing differs from the commit that the run started
        from, it is that commit.
    """
    tracked = [out for stage in stages for out in stage.tracked]
    paths = ["params.yaml", *LOCK_FILES, *tracked]
    folder = found.folder
    git(folder, "add", "--", *(path for path in paths if (folder / path).exists()))
    if git(folder, "diff", "--cached", "--name-only"):
        message = f"{title}\n\n{TRAILER}{json.dumps(asdict(checkpoint), sort_keys=True)}"
        git(folder, *_identity(folder), "commit", "--quiet", "-m", message)
    commit = git(folder, "rev-parse", "HEAD")
    branch = f"runs/{found.name}"
    git(folder, "branch", "--force", branch, commit)
    git(folder, *_identity(folder), "tag", "--force", "-m", title, found.name, commit)
    return commit, branch


def register(found: Workspace, model: str, commit: str, checkpoint: Checkpoint) -> str | None:
    """Gives a commit the next version of a model of dvc.yaml's `artifacts`, as GTO's tags do it.

    Args:
        found: Where the run has worked.
        model: Name of the artifact.
        commit: Of the run.
        checkpoint: That it notes.

    Returns:
        The tag, `earth@v0.0.3`: the newest one as it is where it has the same bytes. None where the
        commit is the one that the run started from.
    """
    if commit == found.commit:
        return None
    listed = git(found.folder, "tag", "--list", f"{model}@v0.0.*").split()
    newest = max(listed, key=_number_of, default=None)
    known = noted_checkpoint(found.folder, newest) if newest else None
    if known and known.md5 == checkpoint.md5:
        return newest
    number = _number_of(newest) if newest else 0
    while True:
        number += 1
        tag = f"{model}@v0.0.{number}"
        try:
            git(found.folder, *_identity(found.folder), "tag", "-m", found.name, tag, commit)
        except UserError:
            # Another run has taken the number meanwhile.
            if tag not in git(found.folder, "tag", "--list", tag).split():
                raise
            continue
        return tag


def _number_of(tag: str) -> int:
    return int(tag.rpartition(".")[2])


def _identity(folder: Path) -> list[str]:
    """A name for the commits of a worker on which git knows none."""
    try:
        git(folder, "var", "GIT_COMMITTER_IDENT")
    except UserError:
        return ["-c", "user.name=semflow", "-c", "user.email=semflow@localhost"]
    return []
