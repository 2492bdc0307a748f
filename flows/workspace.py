"""Where a run works: a git worktree of its own, beside the user's tree and never in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dvc.config import Config
from filelock import FileLock, Timeout

from flows.graph import Stage, outside
from semflow.core.errors import UserError
from semflow.core.resume import ROOT_VARIABLE
from semflow.params.messages import shown

RUNS = "runs"
UNATTENDED = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "tag.gpgSign=false",
)
"""For git where nobody can answer: the user's hooks and signatures are for the user's own work."""
LINK_TYPES = "reflink,hardlink,symlink,copy"
"""How DVC fills a workspace from the cache: without copying where the file systems allow it."""


@dataclass(frozen=True)
class Workspace:
    """A checkout for one run.

    Args:
        folder: Its root, which goes away with the run.
        repository: Root of the user's checkout.
        name: Of the run.
        commit: Full hash that it was made at.
    """

    folder: Path
    repository: Path
    name: str
    commit: str

    @property
    def logs(self) -> Path:
        """What stays: curves, sample grids, the report."""
        return self.repository / "logs" / RUNS / self.name


def repository_root() -> Path:
    """The checkout that the current folder belongs to.

    Raises:
        UserError: It belongs to none.
    """
    return Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))


def scratch_root(repository: Path) -> Path:
    """Unfinished work of all runs: outside their workspaces, so that a later run goes on."""
    return repository / (os.environ.get(ROOT_VARIABLE) or ".scratch")


def commit_of(repository: Path, revision: str | None) -> str:
    """The full hash of a revision; of HEAD for None.

    Raises:
        UserError: There is no such commit.
    """
    try:
        # What follows is a revision even if it begins like an option.
        name = f"{revision or 'HEAD'}^{{commit}}"
        return git(repository, "rev-parse", "--verify", "--end-of-options", name)
    except UserError:
        raise UserError(
            f"revision {shown(revision)} is no commit of {repository}; fetch it"
        ) from None


@contextmanager
def workspace(repository: Path, name: str, commit: str) -> Iterator[Workspace]:
    """Checks a commit out into a folder of its own and removes it when the block ends.

    What a killed run of any name has left is removed too.

    Args:
        repository: The user's checkout, whose DVC cache and remotes are used.
        name: Of the run, and of the folder; the same name again finds nothing of the earlier run.
        commit: Full hash.

    Raises:
        UserError: A run of that name is going on.
    """
    parent = scratch_root(repository) / RUNS
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / name
    with ExitStack() as held:
        with FileLock(parent / "lock"):
            held.enter_context(_held(parent / f"{name}.lock"))
            _sweep(repository, parent)
            _remove(repository, folder)
            git(repository, "worktree", "add", "--force", "--detach", str(folder), commit)
        try:
            made = Workspace(folder, repository, name, commit)
            _share_settings(repository, folder)
            made.logs.mkdir(parents=True, exist_ok=True)
            (folder / "logs").symlink_to(made.logs)
            yield made
        finally:
            _remove(repository, folder)


def link_raw_data(found: Workspace, stages: Sequence[Stage]) -> list[Path]:
    """Links what no stage makes and git does not hold: raw downloads.

    Returns:
        Where in the user's checkout something is missing.
    """
    missing = []
    for path in outside(stages):
        here, there = found.folder / path, found.repository / path
        if here.exists():
            continue
        if there.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(there.resolve())
        else:
            missing.append(there)
    return missing


def uncommitted(repository: Path) -> bool:
    """Whether the user's tree differs from its HEAD in files that git knows."""
    return bool(git(repository, "status", "--porcelain", "--untracked-files=no"))


def git(folder: Path, *arguments: str) -> str:
    """What git prints, without the last newline.

    Raises:
        UserError: Git fails, with what it says, in one line.
    """
    command = ["git", "-C", str(folder), *UNATTENDED, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            # What is no UTF-8 in a commit's file is for its reader to refuse.
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except (OSError, ValueError) as error:
        # An argument with a zero byte, or longer than the system takes; git that is absent.
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"git {' '.join(arguments)[:80]!r} did not start ({reason})") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout or "no message").split())
        raise UserError(f"git {' '.join(arguments)} failed in {folder}: {said}")
    return done.stdout.strip()


def has_remote(folder: Path) -> bool:
    """Whether DVC has a default remote to push to and pull from."""
    return "remote" in Config(str(folder / ".dvc"))["core"]


def _share_settings(repository: Path, folder: Path) -> None:
    """Gives a workspace the user's DVC settings, the cache and remotes at relative paths too."""
    shared = Config(str(repository / ".dvc"))
    with Config(str(folder / ".dvc")).edit("local") as settings:
        settings.update(shared)
        settings["cache"].setdefault("dir", str(repository / ".dvc" / "cache"))
        settings["cache"].setdefault("type", LINK_TYPES)


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    held = FileLock(lock, blocking=False)
    try:
        held.acquire()
    except Timeout:
        raise UserError(f"run {lock.stem} is going on; cancel it or wait for it") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def _sweep(repository: Path, parent: Path) -> None:
    """Removes the workspaces of processes that are gone."""
    for lock in parent.glob("*.lock"):
        with suppress(Timeout), FileLock(lock, blocking=False):
            _remove(repository, lock.with_suffix(""))
            lock.unlink(missing_ok=True)


def _remove(repository: Path, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    # This one only: a worktree of the user's own may lie on a disk that is away.
    with suppress(UserError):
        git(repository, "worktree", "remove", "--force", "--force", str(folder))
