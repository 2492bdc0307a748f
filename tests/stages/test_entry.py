from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from semflow.core.errors import UserError
from semflow.schema import DatasetParams
from stages.entry import Folders, run, run_once
from tools.closure import ROOT


@pytest.fixture(autouse=True)
def stage(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage named `work`, called for Earth in a folder with the repository's params.yaml."""
    (workspace / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setattr(sys, "argv", ["stages/work.py", "earth"])
    monkeypatch.delenv("RANK", raising=False)


def work(dataset: str, _params: DatasetParams, _folders: Folders) -> None:
    (Path("ran") / dataset).mkdir(parents=True)


def test_how_long_a_stage_took_is_noted_beside_that_of_others(workspace: Path) -> None:
    runtime = workspace / "reports/earth/runtime.json"
    runtime.parent.mkdir(parents=True)
    runtime.write_text('{"train": {"seconds": 7.5}, "work": {"seconds": 900}}')
    run(work)
    noted = json.loads(runtime.read_text())
    assert noted["train"] == {"seconds": 7.5}
    assert 0 <= noted["work"]["seconds"] < 5


def test_of_a_launch_only_the_first_rank_runs_what_is_not_shared(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    run_once(work)
    assert not (workspace / "ran").exists()
    run(work)
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
        run(work)
    assert stop.value.code == 2
    assert capsys.readouterr().err == said


def test_a_failed_stage_notes_no_time(workspace: Path) -> None:
    def fail(_dataset: str, _params: DatasetParams, _folders: Folders) -> None:
        raise UserError("no")

    with pytest.raises(SystemExit):
        run(fail)
    assert not (workspace / "reports").exists()
