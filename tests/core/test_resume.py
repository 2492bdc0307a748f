from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from semflow.core.errors import Busy
from semflow.core.resume import (
    KEPT_FOLDERS,
    ROOT_VARIABLE,
    Alone,
    Note,
    begin_parts,
    finish_part,
    finished_folder,
    held,
    is_finished,
    newest_state,
    read_note,
    resumable,
    save_state,
    work_folder,
)
from tools.closure import ROOT

NAMES = ["train/0", "train/1", "val/0"]


def leave_unfinished(folder: Path) -> None:
    """Ends work in a folder by an error."""
    with suppress(ZeroDivisionError), held(folder):
        (folder / "step").write_text("7")
        raise ZeroDivisionError


def folders_in(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir() if path.is_dir())


def test_the_folder_is_named_by_stage_data_set_and_fingerprint(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert work_folder("train", "earth", "ab" * 32) == Path(".scratch/train/earth") / ("ab" * 8)
    monkeypatch.setenv(ROOT_VARIABLE, str(workspace / "elsewhere"))
    assert work_folder("train", "earth", "cd" * 32).parents[2] == workspace / "elsewhere"


def test_a_run_works_in_the_folder_of_its_parameters_and_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "scratch"))
    source = tmp_path / "input"
    found = []
    for steps, content in ((1, "1"), (1, "1"), (2, "1"), (2, "2")):
        source.write_text(content)
        with resumable("train", "earth", {"steps": steps}, [source], Alone()) as work:
            found.append(work)
    assert found[0] == found[1]
    assert len({work.folder for work in found}) == 3
    assert found[0].provenance.parameters == {"steps": 1}
    assert found[0].provenance.inputs == {source.as_posix(): hashlib.sha256(b"1").hexdigest()}


def test_what_a_run_has_left_is_there_again_after_an_error_and_after_success(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "train" / "0"
    leave_unfinished(folder)
    for _ in range(2):
        # The second time stands for a kill between a stage's end and DVC's hashing.
        with held(folder):
            assert (folder / "step").read_text() == "7"


def test_what_is_finished_goes_when_another_run_of_the_stage_begins(tmp_path: Path) -> None:
    with held(tmp_path / "first"):
        pass
    assert folders_in(tmp_path) == ["first"]
    leave_unfinished(tmp_path / "second")
    assert folders_in(tmp_path) == ["second"]


def test_two_processes_never_work_in_one_folder_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "train" / "0"
    script = (
        "import sys, time; from pathlib import Path; from semflow.core.resume import held\n"
        "with held(Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=f"process {other.pid} is at work"), held(folder):
            pass
        # A run of other parameters begins meanwhile, and forgets neither folder nor lock.
        for number in range(KEPT_FOLDERS + 1):
            leave_unfinished(folder.parent / f"other{number}")
        with pytest.raises(Busy, match=f"process {other.pid} is at work"), held(folder):
            pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with held(folder):
        assert folder.is_dir()


def test_only_the_newest_unfinished_folders_are_kept_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    for number in range(KEPT_FOLDERS + 3):
        folder = tmp_path / str(number)
        leave_unfinished(folder)
        os.utime(folder, (1000 - number, 1000 - number))
    assert folders_in(tmp_path) == [str(number) for number in range(3, KEPT_FOLDERS + 3)]


def writer(content: str) -> Callable[[Path], dict[str, int]]:
    def write(path: Path) -> dict[str, int]:
        path.write_text(content, encoding="ascii")
        return {"length": len(content)}

    return write


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder with two of three parts finished."""
    for name in NAMES[:2]:
        finish_part(tmp_path, name, writer(name))
    return tmp_path


def test_what_is_finished_is_kept_and_said(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert begin_parts(scratch, "shards", "shards", NAMES) == ["val/0"]
    assert capsys.readouterr().err == "shards: 2 of 3 shards were done\n"
    note = read_note(scratch, "train/1")
    assert isinstance(note, Note)
    assert (note.bytes, note.facts) == (7, {"length": 7})


def test_a_first_run_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert begin_parts(tmp_path, "shards", "shards", NAMES) == NAMES
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_text("train/", encoding="ascii"),
        lambda path: path.write_text("tRain/1", encoding="ascii"),
    ],
)
def test_a_missing_short_or_altered_part_is_made_anew(
    scratch: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(finished_folder(scratch) / "train/1")
    assert begin_parts(scratch, "shards", "shards", NAMES) == ["train/1", "val/0"]
    assert not is_finished(scratch, "train/1")


@pytest.mark.parametrize("note", ["", "{", "[]", '{"bytes": 7}'])
def test_a_part_whose_note_was_emptied_or_cut_counts_as_unfinished(
    scratch: Path, note: str
) -> None:
    (scratch / "notes/train/1.json").write_text(note)
    assert not is_finished(scratch, "train/1")
    assert begin_parts(scratch, "shards", "shards", NAMES) == ["train/1", "val/0"]
    finish_part(scratch, "train/1", writer("train/1"))
    assert is_finished(scratch, "train/1")


def test_a_part_whose_writer_fails_leaves_nothing_at_all(scratch: Path) -> None:
    def fail(path: Path) -> dict[str, int]:
        path.write_text("half", encoding="ascii")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        finish_part(scratch, "val/0", fail)
    assert not is_finished(scratch, "val/0")
    files = {path.name for path in finished_folder(scratch).rglob("*") if path.is_file()}
    assert files == {"0", "1"}
    assert begin_parts(scratch, "shards", "shards", NAMES) == ["val/0"]


def save(folder: Path, step: int) -> None:
    save_state(folder, step, lambda file: file.write(f"state {step}".encode()))


def steps_in(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.pt"))


def test_the_newest_two_states_are_kept_and_the_newest_counts(tmp_path: Path) -> None:
    assert newest_state(tmp_path) is None
    for step in (1, 2, 10, 30):
        save(tmp_path, step)
    assert steps_in(tmp_path) == [10, 30]
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.read_text() == "state 30"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state, _note: state.write_text("stAte 9", "ascii"),
        lambda state, _note: state.write_text("", "ascii"),
        lambda _state, note: note.write_text(""),
        lambda _state, note: note.unlink(),
        lambda _state, note: note.write_text(json.dumps({"bytes": 7, "sha256": "0"})),
    ],
)
def test_of_a_damaged_newest_state_the_older_sound_one_takes_the_place(
    tmp_path: Path, spoil: Callable[[Path, Path], None]
) -> None:
    save(tmp_path, 5)
    save(tmp_path, 9)
    spoil(tmp_path / "00000009.pt", tmp_path / "00000009.pt.json")
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.read_text() == "state 5"
    # What is saved from there on is not deleted for the sake of the damaged one.
    save(tmp_path, 6)
    assert steps_in(tmp_path) == [5, 6]
    newest = newest_state(tmp_path)
    assert newest is not None
    assert newest.read_text() == "state 6"


def test_a_state_whose_writer_fails_leaves_the_older_ones(tmp_path: Path) -> None:
    save(tmp_path, 5)

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        save_state(tmp_path, 6, fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000005.pt", "00000005.pt.json"]
