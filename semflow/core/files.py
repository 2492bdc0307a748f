"""Files that are either whole or absent, and their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from semflow.core.errors import UserError


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_state(folder: Path) -> str:
    """Hexadecimal sha256 of names, sizes and times of all files below a folder, not of their bytes.

    It tells whether a large tree is still the one that an interrupted run has seen.
    """
    state = hashlib.sha256()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            found = path.stat()
            place = path.relative_to(folder).as_posix()
            state.update(f"{place}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return state.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a file in one rename, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON the same way for the same value: sorted keys, two spaces, a final newline."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: the file is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} not found; run the stage that makes it: dvc repro") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}); delete it and run dvc repro") from None


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yields an empty folder beside `out` that replaces it if the block ends well.

    On an error or a kill `out` stays as it was.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)


def move_folder(made: Path, out: Path) -> None:
    """Puts a finished folder where `out` is, whole or not at all, across file systems too.

    Args:
        made: the folder; gone afterwards, unless it lay on another file system.
        out: replaced.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if made.stat().st_dev == out.parent.stat().st_dev:
        shutil.rmtree(out, ignore_errors=True)
        made.replace(out)
    else:
        with whole_folder(out) as folder:
            shutil.copytree(made, folder, dirs_exist_ok=True)
