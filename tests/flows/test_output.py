from __future__ import annotations

import io

import pytest

from flows.output import Ending, Line, StageBusy, StageFailed, StageInterrupted, lines_of


class Pieces(io.BytesIO):
    """Hands out what was written in the pieces it was written in."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self._pieces = list(pieces)

    def read1(self, _size: int | None = -1, /) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def test_lines_come_whole_however_they_were_written() -> None:
    pieces = Pieces(b"fir", b"st\nsecond\r", b"\nthird", b" one\nlast")
    assert [line.text for line in lines_of(pieces)] == ["first", "second", "third one", "last"]


def test_what_a_carriage_return_ends_is_overwritten_by_the_next() -> None:
    pieces = Pieces(b"\rtrain:   0%|  |", b"\rtrain:  50%|# |\r", b"train: 100%|##|\n")
    assert list(lines_of(pieces)) == [
        Line("train:   0%|  |", True),
        Line("train:  50%|# |", True),
        Line("train: 100%|##|", False),
    ]


def test_a_bar_tells_its_percentage_and_other_lines_none() -> None:
    assert Line("train:  45%|####     | 43/96", True).percent == 45
    assert Line("mIoU rose by 45%", False).percent is None


def test_escape_sequences_empty_lines_and_dvcs_advice_are_left_out() -> None:
    pieces = Pieces(b"\x1b[31mred\x1b[0m\n\n   \nTo track the changes with git, run:\n\xff\n")
    assert [line.text for line in lines_of(pieces)] == ["red", "\ufffd"]


def ending(*lines: str) -> Ending:
    found = Ending()
    for line in lines:
        found.add(Line(line, False))
    return found


def failed(code: int) -> str:
    return f"ERROR: failed to reproduce 'train@earth': failed to run: python x, exited with {code}"


def test_success_says_what_was_to_be_done() -> None:
    ending().check("x", 0)
    assert ending("Running stage 'x':", "> python").what_happened == "ran"
    cached = "Stage 'x' is cached - skipping run, checking out outputs"
    assert ending(cached).what_happened == "restored from the cache"
    assert ending("Stage 'x' didn't change, skipping").what_happened == "unchanged"


def test_the_users_mistake_is_its_own_line_and_is_not_tried_again() -> None:
    with pytest.raises(StageFailed, match=r"^train@earth: data/raw/earth is missing; get it$"):
        ending("error: data/raw/earth is missing; get it", failed(2)).check("train@earth", 255)


@pytest.mark.parametrize("code", [143, 137, -9, -15])
def test_a_signal_to_the_stage_is_tried_again(code: int) -> None:
    with pytest.raises(StageInterrupted, match=f"by a signal .exit code {code}."):
        ending(failed(code)).check("train@earth", 255)


def test_a_signal_to_dvc_itself_is_tried_again() -> None:
    with pytest.raises(StageInterrupted):
        ending().check("train@earth", -9)


@pytest.mark.parametrize(
    "said",
    [
        "ERROR: Unable to acquire lock. Most likely another DVC process is running",
        "OSError: [Errno 5] Input/output error",
        "ConnectionResetError: [Errno 104] Connection reset by peer",
        'ERROR: unexpected error - Could not connect to the endpoint URL: "http://s3/bucket"',
        "ERROR: failed to transfer 'a' - An error occurred (SlowDown) when calling the PutObject",
        "torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError",
    ],
)
def test_locks_and_network_are_tried_again_even_where_the_exit_code_is_two(said: str) -> None:
    with pytest.raises(StageInterrupted):
        ending(said, failed(2)).check("train@earth", 255)


def test_another_run_at_work_on_the_same_is_waited_for() -> None:
    said = "error: process 71 is at work in .scratch/train/earth/0; wait for it or stop it"
    with pytest.raises(StageBusy, match=r"^train@earth: process 71 is at work in "):
        ending(said, failed(2)).check("train@earth", 255)


def test_of_several_errors_of_dvc_the_first_says_why() -> None:
    said = ("ERROR: failed to transfer 'a' - no such bucket", "ERROR: failed to push data")
    with pytest.raises(StageFailed, match=r"^push: failed to transfer 'a' - no such bucket$"):
        ending(*said).check("push", 1)


def test_any_other_error_is_not_tried_again() -> None:
    with pytest.raises(StageFailed, match="exited with 1"):
        ending("ZeroDivisionError: division by zero", failed(1)).check("train@earth", 255)
