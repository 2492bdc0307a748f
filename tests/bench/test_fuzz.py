from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bench.fuzz import DOCUMENT, RESULTS, together, with_table
from bench.fuzz_confine import Escaped, confined
from bench.fuzz_targets import TARGETS, execute
from semflow.core.files import read_json
from tools.closure import ROOT


def test_the_documents_table_is_the_counts_that_were_kept() -> None:
    text, kept = (ROOT / DOCUMENT).read_text("utf-8"), read_json(ROOT / RESULTS)
    assert with_table(text, kept) == text
    assert set(kept) <= set(TARGETS)


def test_runs_of_a_target_add_up_until_one_has_found_something() -> None:
    first = {"executions": 100, "seconds": 1.5, "findings": 0}
    second = {"executions": 20, "seconds": 0.5, "findings": 1}
    assert together(None, first) == first
    both = together(first, second)
    assert both == {"executions": 120, "seconds": 2.0, "findings": 1}
    assert together(both, first) == first


def test_who_writes_elsewhere_or_connects_is_stopped_and_who_does_neither_is_not(
    tmp_path: Path,
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with confined(inside):
        (inside / "a").write_text("a", encoding="utf-8")
        (inside / "a").rename(inside / "b")
    with pytest.raises(Escaped), confined(inside):
        (tmp_path / "outside").write_text("a", encoding="utf-8")
    assert not (tmp_path / "outside").exists()
    with pytest.raises(Escaped), confined(inside):
        (inside / "b").rename(tmp_path / "b")
    with pytest.raises(Escaped), confined(inside), socket.socket() as connection:
        connection.connect(("127.0.0.1", 9))
    # Beyond the block nothing is watched.
    (inside / "b").rename(tmp_path / "b")


def test_a_refusal_is_well_and_any_other_error_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute("image", b"", tmp_path)

    def broken(_path: Path) -> None:
        raise KeyError("a")

    monkeypatch.setattr("bench.fuzz_files.read_image", broken)
    with pytest.raises(KeyError):
        execute("image", b"", tmp_path)
