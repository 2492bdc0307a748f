"""What the documents say of the tests is so."""

from __future__ import annotations

import ast
import re

from tools.closure import ROOT

RELIABILITY = ROOT / "docs" / "reliability.md"
FAULTS = 36
STATES = ("mended", "was gone", "open")


def rows() -> list[tuple[int, str, str]]:
    """Number, state and tests of every row of the tables of faults."""
    found = []
    for line in RELIABILITY.read_text("utf-8").splitlines():
        if match := re.match(r"\| (\d+) \|", line):
            _, _, _, state, tests, _ = re.split(r"(?<!\\)\|", line)
            found.append((int(match[1]), state.strip(), tests))
    return found


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", RELIABILITY.read_text("utf-8"))
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, file


def test_a_fault_has_one_row_a_state_and_unless_it_is_open_a_test() -> None:
    numbers = [number for number, _, _ in rows()]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= set(range(1, FAULTS + 1))
    for number, state, tests in rows():
        assert state.startswith(STATES), number
        assert state.startswith("open") or "::test_" in tests, number
