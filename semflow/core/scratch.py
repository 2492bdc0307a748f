"""Working folders that survive a kill: a long stage finds its own again and goes on from there.

They lie outside DVC's outputs, which the next run deletes, and are keyed by a fingerprint of all
that the result depends on, so that nothing of another run is ever picked up.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from semflow.core.errors import UserError

ROOT_VARIABLE = "SEMFLOW_SCRATCH"
KEPT = 3
"""Unfinished folders kept for each stage and data set; older ones are deleted."""


def scratch_path(stage: str, dataset: str, fingerprint: str) -> Path:
    """The folder's place: below $SEMFLOW_SCRATCH, or `.scratch` in the current folder.

    Args:
        stage: name of the stage.
        dataset: name of the data set.
        fingerprint: hexadecimal, from `semflow.core.provenance.fingerprint`.
    """
    root = Path(os.environ.get(ROOT_VARIABLE) or ".scratch")
    return root / stage / dataset / fingerprint[:16]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes a scratch folder, keeps others out of it, and removes it once the block ends well.

    After an error or a kill it stays, and the lock is gone with the process.

    Raises:
        UserError: another process is working in it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_suffix(".lock")
    with _locked(lock) as file:
        folder.mkdir(exist_ok=True)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        os.utime(folder)
        _forget_older(folder)
        yield
        shutil.rmtree(folder)
        lock.unlink()


def _locked(lock: Path) -> IO[str]:
    """Opens and locks a lock file.

    Raises:
        UserError: another process has locked it.
    """
    while True:
        file = lock.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                raise UserError(
                    f"process {file.read() or '?'} is at work in {lock.with_suffix('')}; "
                    "wait for it or stop it"
                ) from None
        # Between opening and locking, its last owner may have ended and deleted it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                return file
        file.close()


def _forget_older(folder: Path) -> None:
    siblings = [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]
    siblings.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in siblings[KEPT - 1 :]:
        if not _is_held(path.with_suffix(".lock")):
            shutil.rmtree(path)
            path.with_suffix(".lock").unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open(encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
