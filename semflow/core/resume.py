"""Unfinished work that survives a kill: the same command finds it again and goes on from there.

A run works in a folder below $SEMFLOW_SCRATCH, outside DVC's outputs, which the next run deletes.
The folder is named by a fingerprint of all that the result depends on, so that nothing of another
run is ever picked up, and one process at a time holds it. In it lie parts, which are finished one
by one in any order, or states, of which the newest sound one counts. A finished run leaves its
folder until the next run of the stage begins: a kill before DVC has hashed the outputs costs
nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from filelock import Timeout

from semflow.core.errors import Busy, UserError
from semflow.core.files import read_json, sha256_of, whole_file, write_json
from semflow.core.locks import locked
from semflow.core.provenance import Provenance, provenance_of

ROOT_VARIABLE = "SEMFLOW_SCRATCH"
KEPT_FOLDERS = 3
"""Unfinished folders kept for each stage and data set; older ones are deleted."""
KEPT_STATES = 2
_ORDER, _FINISHED = "order", "finished"


class Ranks(Protocol):
    """The processes that run a stage together; an `accelerate.Accelerator` is one."""

    @property
    def process_index(self) -> int:
        """Number of this process, from 0."""

    @property
    def num_processes(self) -> int:
        """How many there are."""

    @property
    def is_main_process(self) -> bool:
        """Whether this is the one that writes."""

    def wait_for_everyone(self) -> None:
        """Returns once every process has called it."""


@dataclass(frozen=True)
class Alone:
    """One process that waits for nobody."""

    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        """Returns at once."""


@dataclass(frozen=True)
class Work:
    """A run's own folder, and what its result follows from."""

    folder: Path
    provenance: Provenance


@contextmanager
def resumable(
    stage: str,
    dataset: str,
    parameters: Mapping[str, Any],
    inputs: Iterable[Path],
    ranks: Ranks,
    hardware: Mapping[str, str | int] | None = None,
) -> Iterator[Work]:
    """The folder of a stage's run, as an earlier run has left it, held by the main process.

    Args:
        stage: Name of the stage.
        dataset: Name of the data set.
        parameters: What the stage declares in dvc.yaml; JSON values.
        inputs: Folders and files that it reads.
        ranks: The processes of the run; all of them see the folder.
        hardware: What else the bytes depend on; empty where they depend on no hardware.

    Raises:
        Busy: Another run with the same fingerprint is at work.
    """
    made_of = provenance_of(parameters, inputs, hardware)
    work = Work(work_folder(stage, dataset, made_of.fingerprint()), made_of)
    if not ranks.is_main_process:
        ranks.wait_for_everyone()
        yield work
        return
    with held(work.folder):
        ranks.wait_for_everyone()
        yield work


def work_folder(stage: str, dataset: str, fingerprint: str) -> Path:
    """Where a run works: below $SEMFLOW_SCRATCH, or `.scratch` in the current folder."""
    root = Path(os.environ.get(ROOT_VARIABLE) or ".scratch")
    return root / stage / dataset / fingerprint[:16]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps others out of it; marks it finished once the block ends well.

    Raises:
        Busy: Another process is working in it.
        UserError: Its file system knows no locks.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(_lock_of(folder), wait=False))
        except Timeout:
            owner = _lock_of(folder).read_text(encoding="ascii", errors="replace").strip()
            raise Busy(
                f"process {owner or '?'} is at work in {folder}; wait for it or stop it"
            ) from None
        _lock_of(folder).write_text(str(os.getpid()), encoding="ascii")
        folder.mkdir(exist_ok=True)
        (folder / _FINISHED).unlink(missing_ok=True)
        # Counted and not timed: a clock may jump.
        others = _others(folder)
        (folder / _ORDER).write_text(str(max(map(_order, others), default=0) + 1), "ascii")
        _forget(others)
        yield
        (folder / _FINISHED).touch()


def _others(folder: Path) -> list[Path]:
    return [path for path in folder.parent.iterdir() if path.is_dir() and path != folder]


def _order(folder: Path) -> int:
    try:
        return int((folder / _ORDER).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _forget(folders: Sequence[Path]) -> None:
    """Deletes what is finished, and of the unfinished all but the newest; what is held stays."""
    unfinished = sorted(
        (path for path in folders if not (path / _FINISHED).exists()), key=_order, reverse=True
    )
    kept = set(unfinished[: KEPT_FOLDERS - 1])
    for folder in folders:
        if folder in kept:
            continue
        with suppress(Timeout), locked(_lock_of(folder), wait=False):
            shutil.rmtree(folder)
            _lock_of(folder).unlink(missing_ok=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


# Parts: `out/<name>` is a part's file, and `notes/<name>.json`, with its length and checksum, the
# mark that it is whole. A part depends on no other, so any process that shares the folder may make
# it; two that make the same one write the same bytes.


@dataclass(frozen=True)
class Note:
    """What is known of a finished part.

    Args:
        bytes: Length of its file.
        sha256: Checksum of its file.
        facts: What its maker noted; JSON values.
    """

    bytes: int
    sha256: str
    facts: Mapping[str, Any]


def finished_folder(folder: Path) -> Path:
    """Where the finished parts lie, by name."""
    return folder / "out"


def begin_parts(folder: Path, stage: str, noun: str, names: Sequence[str]) -> list[str]:
    """Looks through an earlier run's parts and says on stderr how many are kept.

    Args:
        folder: The run's, held by this process.
        stage: Name of the stage, for the line.
        noun: What its parts are, for the line.
        names: Names of all parts.

    Returns:
        Names of those that are still to be made. Where a part's bytes are not those of its note,
        the note is deleted, so that `is_finished` says the same to other processes.
    """
    missing = []
    for name in names:
        if not _is_sound(folder, name):
            _note_path(folder, name).unlink(missing_ok=True)
            missing.append(name)
    if len(missing) < len(names):
        done = f"{len(names) - len(missing)} of {len(names)} {noun} were done"
        print(f"{stage}: {done}", file=sys.stderr, flush=True)
    return missing


def finish_part(folder: Path, name: str, write: Callable[[Path], Mapping[str, Any]]) -> None:
    """Makes one part, whole or not at all.

    Args:
        folder: The run's.
        name: Path of the part in the folder of finished parts.
        write: Writes the file and returns the facts to note; JSON values.
    """
    path = finished_folder(folder) / name
    with whole_file(path) as partial:
        facts = dict(write(partial))
        length, checksum = partial.stat().st_size, sha256_of(partial)
    write_json(_note_path(folder, name), {"bytes": length, "sha256": checksum, "facts": facts})


def is_finished(folder: Path, name: str) -> bool:
    """Whether a part has its note."""
    return _read_note(folder, name) is not None


def read_note(folder: Path, name: str) -> Note:
    """The note of a finished part.

    Raises:
        UserError: The part is not finished.
    """
    note = _read_note(folder, name)
    if note is None:
        raise UserError(f"{_note_path(folder, name)} has gone; run the same command again")
    return note


def _is_sound(folder: Path, name: str) -> bool:
    note, path = _read_note(folder, name), finished_folder(folder) / name
    return (
        note is not None
        and path.is_file()
        and path.stat().st_size == note.bytes
        and sha256_of(path) == note.sha256
    )


def _read_note(folder: Path, name: str) -> Note | None:
    try:
        return Note(**read_json(_note_path(folder, name)))
    except (UserError, TypeError):
        return None


def _note_path(folder: Path, name: str) -> Path:
    return folder / "notes" / f"{name}.json"


# States: `<step>.pt` with `<step>.pt.json`, its length and checksum, written after it.


def save_state(folder: Path, step: int, write: Callable[[BinaryIO], object]) -> None:
    """Saves the state after a step, then deletes what it makes superfluous, never itself.

    Args:
        folder: The run's.
        step: Number of steps done.
        write: Writes the state into a file. It gets no path: torch's own writer, given one, keeps
            to itself why a disk has refused.
    """
    path = folder / f"{step:08d}.pt"
    with whole_file(path) as partial:
        with partial.open("wb") as file:
            write(file)
        note = {"bytes": partial.stat().st_size, "sha256": sha256_of(partial)}
    write_json(_state_note(path), note)
    earlier = sorted(other for other in folder.glob("*.pt") if other.name < path.name)
    later = [other for other in folder.glob("*.pt") if other.name > path.name]
    # Later ones were not sound, or this run would have gone on from them.
    for other in [*earlier[: -(KEPT_STATES - 1)], *later]:
        other.unlink()
        _state_note(other).unlink(missing_ok=True)


def newest_state(folder: Path) -> Path | None:
    """The newest state whose bytes are those that were saved; None where there is none."""
    for path in sorted(folder.glob("*.pt"), reverse=True):
        try:
            note = read_json(_state_note(path))
        except UserError:
            continue
        known = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        if note == known:
            return path
    return None


def _state_note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
