"""A stage of twenty pieces, killed for real; good ones go on, others start over or differ."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.kills import Subject, failures, starts_over

STAGE = """
import os, shutil, sys, time
from pathlib import Path

kind, out = sys.argv[1:]
scratch = Path(os.environ["SEMFLOW_SCRATCH"]) / "stage" / "earth" / "0123"
if kind == "starts over":
    shutil.rmtree(scratch, ignore_errors=True)
(scratch / "notes").mkdir(parents=True, exist_ok=True)


def mark(number):
    if kind == "states":
        return scratch / f"{number:08d}.pt.json"
    return scratch / "notes" / f"{number}.json"


resumed = any(scratch.rglob("*.json"))
states = [int(path.name[:8]) for path in scratch.glob("*.pt.json")]
for number in range(max(states, default=-1) + 1, 20):
    if not mark(number).exists():
        time.sleep(0.03)
        mark(number).touch()
        if kind == "states" and number > 1:
            mark(number - 2).unlink(missing_ok=True)
Path(out).mkdir(exist_ok=True)
Path(out, "result").write_text("another" if kind == "differs" and resumed else "the same")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The stage."""
    path = tmp_path / "stage.py"
    path.write_text(STAGE, encoding="utf-8")
    return path


def subject_of(script: Path, kind: str) -> Subject:
    out = script.parent / "out"
    return Subject([sys.executable, str(script), kind, str(out)], out, script.parent / "scratch")


@pytest.mark.parametrize(
    ("kind", "failed"), [("parts", 0), ("states", 0), ("starts over", 2), ("differs", 2)]
)
def test_a_kill_is_survived_if_nothing_finished_is_made_again_and_the_bytes_are_the_same(
    script: Path, capsys: pytest.CaptureFixture[str], kind: str, failed: int
) -> None:
    # This seed's moments are early ones, so that a busy machine does not end before them.
    assert failures(subject_of(script, kind), kills=2, seed=4) == failed
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("undisturbed: ")
    assert [line.split(" after ")[0] for line in lines] == ["kill 1", "kill 2"]
    assert sum("NOT SURVIVED" in line for line in lines) == failed
    assert sum("some made again" in line for line in lines) == 2 * (kind == "starts over")
    assert sum("DIFFERENT" in line for line in lines) == 2 * (kind == "differs")


def test_a_stage_that_fails_undisturbed_is_no_subject(script: Path) -> None:
    subject = Subject([sys.executable, "-c", "raise SystemExit(3)"], script.parent, script.parent)
    with pytest.raises(SystemExit, match="fails undisturbed"):
        failures(subject, kills=1, seed=0)


@pytest.mark.parametrize(
    ("now", "over"),
    [
        ({"s/00000300.pt.json": 7}, False),
        ({"s/00000300.pt.json": 7, "s/00000301.pt.json": 9}, False),
        ({"s/00000301.pt.json": 9}, False),
        ({}, False),
        ({"s/00000300.pt.json": 8}, True),
        ({"s/00000001.pt.json": 9, "s/00000300.pt.json": 7}, True),
        ({"s/00000001.pt.json": 9}, True),
    ],
)
def test_states_go_on_from_the_newest(now: dict[str, int], over: bool) -> None:
    assert starts_over({"s/00000299.pt.json": 5, "s/00000300.pt.json": 7}, now) is over
