"""Work cut into parts that are finished one by one: what a killed stage goes on from.

In a scratch folder, `out/<name>` is a part's file and `notes/<name>.json`, with its length and
checksum, the mark that it is whole. A part depends on no other, so any process that shares the
folder may make it; two that make the same one write the same bytes.
"""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflow.core.files import read_json, sha256_of, write_json


@dataclass(frozen=True)
class Note:
    """What is known of a finished part.

    Args:
        bytes: its file's length.
        sha256: its file's checksum.
        facts: what its maker noted; JSON values.
    """

    bytes: int
    sha256: str
    facts: Mapping[str, Any]


def finished_folder(scratch: Path) -> Path:
    """Where the finished parts lie, by name."""
    return scratch / "out"


def begin(scratch: Path, stage: str, noun: str, names: Sequence[str]) -> list[str]:
    """Looks through an earlier run's parts and says on stderr how many are kept.

    Args:
        scratch: held by this process.
        stage: its name, for the line.
        noun: what its parts are, for the line.
        names: of all parts.

    Returns:
        The names of those that are still to be made. Where a part's bytes are not those of its
        note, the note is deleted, so that `is_finished` says the same to other processes.
    """
    shutil.rmtree(_unfinished_folder(scratch), ignore_errors=True)
    missing = []
    for name in names:
        if not _is_sound(scratch, name):
            _note_path(scratch, name).unlink(missing_ok=True)
            missing.append(name)
    if len(missing) < len(names):
        done = f"{len(names) - len(missing)} of {len(names)} {noun} were done"
        print(f"{stage}: {done}", file=sys.stderr, flush=True)
    return missing


def finish(scratch: Path, name: str, write: Callable[[Path], Mapping[str, Any]]) -> None:
    """Makes one part, whole or not at all.

    Args:
        scratch: the stage's folder.
        name: the part's path in the folder of finished parts.
        write: writes the file and returns the facts to note; JSON values.
    """
    partial = _unfinished_folder(scratch) / uuid.uuid4().hex
    partial.parent.mkdir(parents=True, exist_ok=True)
    facts = write(partial)
    note = {"bytes": partial.stat().st_size, "sha256": sha256_of(partial), "facts": dict(facts)}
    path = finished_folder(scratch) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(path)
    write_json(_note_path(scratch, name), note)


def is_finished(scratch: Path, name: str) -> bool:
    """Whether a part has its note."""
    return _note_path(scratch, name).is_file()


def read_note(scratch: Path, name: str) -> Note:
    """The note of a finished part."""
    return Note(**read_json(_note_path(scratch, name)))


def _is_sound(scratch: Path, name: str) -> bool:
    path = finished_folder(scratch) / name
    if not (is_finished(scratch, name) and path.is_file()):
        return False
    note = read_note(scratch, name)
    return path.stat().st_size == note.bytes and sha256_of(path) == note.sha256


def _note_path(scratch: Path, name: str) -> Path:
    return scratch / "notes" / f"{name}.json"


def _unfinished_folder(scratch: Path) -> Path:
    return scratch / "unfinished"
