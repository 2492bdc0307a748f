"""The table of trials in docs/reliability.md, and how trials are noted."""

from __future__ import annotations

from pathlib import Path

from bench.faults import DOCS, END, RESULTS, START, Trials, note, read_trials, table
from tools.closure import ROOT


def test_the_document_holds_the_table_of_the_committed_results() -> None:
    text = (ROOT / DOCS).read_text("utf-8").split(START)[1].split(END)[0]
    assert text.strip().splitlines() == list(table(read_trials(ROOT / RESULTS)))


def test_every_test_that_tried_a_fault_exists() -> None:
    trials = read_trials(ROOT / RESULTS)
    assert trials
    for found in trials.values():
        file, name = found.test.split("::")
        assert f"def {name}(" in (ROOT / file).read_text("utf-8")


def test_what_a_run_notes_replaces_what_was_known_of_the_same_fault_alone(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    note("a full disk", ["one line"], "tests/a.py::test_a", path)
    note("SIGKILL", ["same"], "tests/b.py::test_b", path)
    note("SIGKILL", ["same", "same", "other"], "tests/b.py::test_b", path)
    assert read_trials(path) == {
        "a full disk": Trials(outcomes={"one line": 1}, test="tests/a.py::test_a"),
        "SIGKILL": Trials(outcomes={"same": 2, "other": 1}, test="tests/b.py::test_b"),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["faults.json"]
    assert list(table(read_trials(path)))[2:] == [
        "| a full disk | 1 | one line | `pytest -m faults tests/a.py::test_a` |",
        "| SIGKILL | 3 | 1 times other; 2 times same | `pytest -m faults tests/b.py::test_b` |",
    ]
