from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest

from semflow.core.errors import Busy, UserError
from semflow.params.fields import StageParams
from stages.entry import Folders, run, run_once
from tools.closure import ROOT


@pytest.fixture(autouse=True)
def stage(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage named `work`, called for Earth in a folder with the repository's params.yaml."""
    (workspace / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setattr(sys, "argv", ["stages/work.py", "earth"])
    for name in ("RANK", "SEMFLOW_OUTCOME"):
        monkeypatch.delenv(name, raising=False)


def work(dataset: str, _params: StageParams, _folders: Folders) -> None:
    (Path("ran") / dataset).mkdir(parents=True)


def test_how_long_a_stage_took_is_noted_beside_that_of_others(workspace: Path) -> None:
    runtime = workspace / "reports/earth/runtime.json"
    runtime.parent.mkdir(parents=True)
    runtime.write_text('{"train": {"seconds": 7.5}, "work": {"seconds": 900}}')
    run(work, StageParams)
    noted = json.loads(runtime.read_text())
    assert noted["train"] == {"seconds": 7.5}
    assert 0 <= noted["work"]["seconds"] < 5


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"train": 3}', "\udcff"])
def test_an_odd_note_of_times_fails_no_finished_stage(workspace: Path, text: str) -> None:
    runtime = workspace / "reports/earth/runtime.json"
    runtime.parent.mkdir(parents=True)
    runtime.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    run(work, StageParams)
    assert "work" in json.loads(runtime.read_text())


def test_a_note_of_times_that_cannot_be_written_fails_no_finished_stage(workspace: Path) -> None:
    (workspace / "reports").touch()
    run(work, StageParams)
    assert (workspace / "ran").exists()


def test_of_a_launch_only_the_first_rank_runs_what_is_not_shared(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    run_once(work, StageParams)
    assert not (workspace / "ran").exists()
    run(work, StageParams)
    assert (workspace / "ran").exists()
    assert not (workspace / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stages/work.py"], "error: usage: python -m stages.work DATASET\n"),
        (["stages/work.py", "erth"], "error: unknown data set 'erth'; did you mean earth?\n"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        run(work, StageParams)
    assert stop.value.code == 2
    assert capsys.readouterr().err == said


def test_a_failed_stage_notes_no_time(workspace: Path) -> None:
    def fail(_dataset: str, _params: StageParams, _folders: Folders) -> None:
        raise UserError("no")

    with pytest.raises(SystemExit):
        run(fail, StageParams)
    assert not (workspace / "reports").exists()


def test_another_run_at_work_is_one_line_and_exit_code_75(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wait(_dataset: str, _params: StageParams, _folders: Folders) -> None:
        raise Busy("process 71 is at work")

    with pytest.raises(SystemExit) as stop:
        run(wait, StageParams)
    assert stop.value.code == 75
    assert capsys.readouterr().err == "error: process 71 is at work\n"


def test_a_full_disk_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def fill(_dataset: str, _params: StageParams, _folders: Folders) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), ".scratch/shards")

    with pytest.raises(SystemExit) as stop:
        run(fill, StageParams)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no room is left (No space left on device: .scratch/shards); ")
    assert said.count("\n") == 1


def test_a_read_only_disk_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def write(_dataset: str, _params: StageParams, _folders: Folders) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "data/shards")

    with pytest.raises(SystemExit) as stop:
        run(write, StageParams)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: a file cannot be read or written (Read-only file system: data/")
    assert said.count("\n") == 1


def test_another_error_of_the_file_system_keeps_its_kind_for_the_flow() -> None:
    def fail(_dataset: str, _params: StageParams, _folders: Folders) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        run(fail, StageParams)
