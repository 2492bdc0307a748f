"""What launchers print and return when a rank ends, taken from them; frames of tracebacks left out.

torchrun_crash: a rank crashes, and the other one is killed since it does not end. torchrun_one_*:
one rank of two, the other is ended. accelerate_one_*: one process, for which accelerate has another
launcher. torchrun_terminated: the launcher itself gets SIGTERM.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.output import Ending, Line, StageFailed, StageInterrupted

FOLDER = Path(__file__).parent / "launchers"
# Every launcher ends with 1, and dvc says so.
DVC = (
    "ERROR: failed to reproduce 'train@earth': failed to run: $SEMFLOW_LAUNCH python, exited with 1"
)


def ending(name: str) -> Ending:
    found = Ending()
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    for line in ["Running stage 'train@earth':", *lines, DVC]:
        found.add(Line(line, False))
    return found


@pytest.mark.parametrize(
    "name",
    ["torchrun_mistake", "torchrun_one_mistake", "accelerate_mistake", "accelerate_one_mistake"],
)
def test_a_mistake_that_ranks_tell_is_one_line_and_is_not_tried_again(name: str) -> None:
    with pytest.raises(StageFailed, match=r"^train@earth: no such luck$"):
        ending(name).check("train@earth", 255)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("torchrun_killed", -9),
        ("accelerate_killed", -9),
        ("accelerate_one_killed", -9),
        ("torchrun_terminated", -15),
    ],
)
def test_a_rank_or_launcher_that_was_killed_is_tried_again(name: str, code: int) -> None:
    with pytest.raises(StageInterrupted, match=rf"by a signal \(exit code {code}\)$"):
        ending(name).check("train@earth", 255)


def test_a_crashed_rank_is_not_tried_again_though_the_launcher_killed_the_other() -> None:
    with pytest.raises(StageFailed, match=r"exited with 1$"):
        ending("torchrun_crash").check("train@earth", 255)


def test_ranks_that_said_the_same_on_one_line_said_it_once() -> None:
    found = ending("torchrun_mistake")
    found.add(Line("error: out of luck" * 3, False))
    with pytest.raises(StageFailed, match=r"^train@earth: out of luck$"):
        found.check("train@earth", 255)


def test_a_mistake_goes_before_what_it_did_to_the_launchers_of_other_nodes() -> None:
    found = ending("torchrun_killed")
    for line in (FOLDER / "torchrun_mistake.txt").read_text("utf-8").splitlines():
        found.add(Line(line, False))
    with pytest.raises(StageFailed, match="no such luck"):
        found.check("train@earth", 255)


def test_what_happened_and_the_stages_line_survive_a_long_report() -> None:
    found = ending("torchrun_mistake")
    for _ in range(1000):
        found.add(Line("  exitcode  : -15 (pid: 1)  (SIGTERM)", False))
    assert found.what_happened == "ran"
    with pytest.raises(StageFailed, match=r"^train@earth: no such luck$"):
        found.check("train@earth", 255)
