from __future__ import annotations

import io

from flows.process import Line, lines_of


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
    assert Line("train:  45%, 43 of 96 samples in 00:10, 4.30 samples/s", False).percent == 45
    assert Line("mIoU rose by 45%", False).percent is None


def test_a_whole_line_of_progress_is_overwritten_by_the_next_until_all_is_done() -> None:
    pieces = Pieces(b"train:   5%, 5 of 96 samples\ntrain: 100%, 96 of 96 samples\nsaved\n")
    assert [line.passing for line in lines_of(pieces)] == [True, False, False]


def test_escape_sequences_and_empty_lines_are_left_out() -> None:
    pieces = Pieces(b"\x1b[31mred\x1b[0m\n\n   \n\xff\n")
    assert [line.text for line in lines_of(pieces)] == ["red", "\ufffd"]
