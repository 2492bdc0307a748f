from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semflow.core.parts import Note, finish, finished_folder, is_finished, read_note
from X import begin

NAMES = ["train/0", "train/1", "val/0"]


def writer(content: str) -> Callable[[Path], dict[str, int]]:
    def write(path: Path) -> dict[str, int]:
        path.write_text(content, encoding="ascii")
        return {"length": len(content)}

    return write


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder with two of three parts finished."""
    for name in NAMES[:2]:
        finish(tmp_path, name, writer(name))
    return tmp_path


def test_what_is_finished_is_kept_and_said(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert begin(scratch, "shards", "shards", NAMES) == ["val/0"]
    assert capsys.readouterr().err == "shards: 2 of 3 shards were done\n"
    note = read_note(scratch, "train/1")
    assert isinstance(note, Note)
    assert (note.bytes, note.facts) == (7, {"length": 7})


def test_a_first_run_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert begin(tmp_path, "shards", "shards", NAMES) == NAMES
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
    assert begin(scratch, "shards", "shards", NAMES) == ["train/1", "val/0"]
    assert not is_finished(scratch, "train/1")


def test_a_part_whose_writer_fails_leaves_nothing_that_counts(scratch: Path) -> None:
    def fail(path: Path) -> dict[str, int]:
        path.write_text("half", encoding="ascii")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        finish(scratch, "val/0", fail)
    assert not is_finished(scratch, "val/0")
    assert {p.name for p in finished_folder(scratch).rglob("*") if p.is_file()} == {"0", "1"}
    assert begin(scratch, "shards", "shards", NAMES) == ["val/0"]
    assert {path.name for path in scratch.iterdir()} == {"out", "notes"}
