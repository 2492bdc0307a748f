"""Writes the table of docs/reliability.md from docs/faults.json: what the fault suite has found.

    SEMFLOW_FAULTS_RESULTS=docs/faults.json make test-faults
    python -m bench.faults

A test of the suite that has passed notes what came of each of its trials. Faults that a run does
not try keep what an earlier run has noted.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from semflow.core.files import read_json, write_json, write_text
from semflow.core.locks import locked

DOCS = Path("docs/reliability.md")
RESULTS = Path("docs/faults.json")
RESULTS_VARIABLE = "SEMFLOW_FAULTS_RESULTS"
START, END = "<!-- trials: written by bench/faults.py -->", "<!-- end of trials -->"


class Trials(BaseModel):
    """What came of a fault.

    Args:
        outcomes: How many trials ended in each way.
        test: The test that tries it, as pytest names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcomes: dict[str, int] = Field(min_length=1)
    test: str


FAULTS: TypeAdapter[dict[str, Trials]] = TypeAdapter(dict[str, Trials])


def main() -> None:
    """Rewrites the part of docs/reliability.md between its markers."""
    text = DOCS.read_text("utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        sys.exit(f"error: {DOCS} must have {START} and {END} once each")
    before, rest = text.split(START)
    lines = "\n".join(table(read_trials(RESULTS)))
    write_text(DOCS, before + "\n\n".join([START, lines, END]) + rest.split(END)[1])


def read_trials(path: Path) -> dict[str, Trials]:
    """The trials of each fault, by its name; none where nothing has been noted."""
    return FAULTS.validate_python(read_json(path)) if path.is_file() else {}


def table(faults: Mapping[str, Trials]) -> Iterator[str]:
    """A line for each fault, in the order of their tests."""
    yield "| fault | trials | outcome | command |"
    yield "|---|---|---|---|"
    for name, trials in sorted(faults.items(), key=lambda item: (item[1].test, item[0])):
        count = sum(trials.outcomes.values())
        command = f"`pytest -m faults {trials.test}`"
        yield f"| {name} | {count} | {_said(trials.outcomes)} | {command} |"


def note(fault: str, outcomes: Sequence[str], test: str, path: Path) -> None:
    """Notes a fault's trials in a file, in place of what it said of the fault before.

    Args:
        fault: What was done, in a few words.
        outcomes: How each trial ended.
        test: The test's name for pytest.
        path: The file, made where there is none.
    """
    lock = path.with_name(f".{path.name}.lock")
    with locked(lock, wait=True):
        known = read_trials(path) | {fault: Trials(outcomes=Counter(outcomes), test=test)}
        write_json(path, FAULTS.dump_python(known))
        lock.unlink(missing_ok=True)


def _said(outcomes: Mapping[str, int]) -> str:
    if len(outcomes) == 1:
        return next(iter(outcomes))
    return "; ".join(f"{count} times {outcome}" for outcome, count in sorted(outcomes.items()))


if __name__ == "__main__":
    main()
