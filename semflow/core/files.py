"""Files and folders that are either whole or absent, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from semflow.core.errors import UserError
from semflow.core.locks import locked

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)
"""A hard link cannot be had here: another file system, or one that has none."""


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_state(folder: Path) -> str:
    """Hexadecimal sha256 of names, sizes and times of all files below a folder, not of their bytes.

    It tells whether a large tree is still the one that an interrupted run has seen.
    """
    state = hashlib.sha256()
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        found = Path(parent).stat()
        if (found.st_dev, found.st_ino) in seen:
            # A link that leads back up, for instance: what lies below is known.
            state.update(os.fsencode(Path(parent).relative_to(folder)) + b"\0again\0")
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            # A link that leads nowhere is part of the state as it is.
            found = path.stat() if path.exists() else path.lstat()
            place = os.fsencode(path.relative_to(folder))
            state.update(place + f"\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return state.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`; the file written there replaces it if the block ends well.

    File and folder are synchronised with the disk. On an error nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        synchronise(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    synchronise(path.parent)


def write_text(path: Path, text: str) -> None:
    """Writes a file in one rename, so that no reader ever sees half of it."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON the same way for the same value: sorted keys, two spaces, a final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: The file is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} not found; run the stage that makes it: dvc repro") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); delete it and run dvc repro") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; delete it and run dvc repro") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); allow it") from None


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yields an empty folder beside `out` that replaces it if the block ends well.

    On an error or a kill `out` stays as it was; another process that does the same has a folder of
    its own, and the last to end wins.
    """
    partial = _partial_of(out)
    partial.mkdir(parents=True)
    try:
        yield partial
        _replace_folder(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def publish_folder(made: Path, out: Path) -> None:
    """Makes `out` hold the files of a finished folder, which stays: whole or not at all.

    Files are hard links where the file system allows it, so that nothing is stored twice.
    """
    with whole_folder(out) as folder:
        # Not shutil.copytree: it gathers errors to one that does not say which they were.
        for parent, folders, names in os.walk(made):
            target = folder / Path(parent).relative_to(made)
            for name in folders:
                (target / name).mkdir()
            for name in names:
                _link_or_copy(Path(parent, name), target / name)


def synchronise(path: Path) -> None:
    """Returns once a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _partial_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.{uuid.uuid4().hex}.partial")


def _replace_folder(made: Path, out: Path) -> None:
    for folder, _, names in os.walk(made, topdown=False):
        for path in (Path(folder, name) for name in names):
            synchronise(path)
        synchronise(Path(folder))
    old = _partial_of(out)
    lock = out.with_name(f".{out.name}.lock")
    with locked(lock, wait=True):
        with suppress(FileNotFoundError):
            out.rename(old)
        made.rename(out)
        # Whoever waits for it sees that it is gone, and takes a new one.
        lock.unlink(missing_ok=True)
    synchronise(out.parent)
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
