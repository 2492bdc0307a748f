"""What a stage prints: whole lines, progress bars, and what the end of it means."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

TERMINATED, KILLED = 143, 137
_ENDS = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PERCENT = re.compile(r"(\d{1,3})%\|")
_EXITED = re.compile(r"failed to run: .* exited with (-?\d+)")
# What passes by itself: another run at work on the same, a full network, a file server that hangs.
_PASSING = re.compile(
    r"is at work in |Unable to acquire lock|is busy, it is being blocked by|"
    r"ConnectionError|ConnectionResetError|ConnectTimeout|ReadTimeout|Read timed out|"
    r"Temporary failure in name resolution|\[Errno (?:5|11|110|116|121)\]"
)
# What DVC advises after every stage; a flow does it at its end.
_ADVICE = (
    "To track the changes",
    "To enable auto staging",
    "Use `dvc push`",
    "\tgit add",
    "\tdvc config",
)


class StageInterrupted(Exception):
    """Ended by something that passes: a signal, a lock, the network. To be tried again."""


class StageFailed(Exception):
    """Ended by what will happen again."""


@dataclass(frozen=True)
class Line:
    """A piece of output.

    Args:
        text: without its end and without escape sequences.
        passing: whether the next one overwrites it, as a progress bar does.
    """

    text: str
    passing: bool

    @property
    def percent(self) -> int | None:
        """How far a progress bar is."""
        found = _PERCENT.search(self.text)
        return min(int(found[1]), 100) if found else None


def lines_of(stream: IO[bytes]) -> Iterator[Line]:
    """Lines as they come, until the last writer has closed the stream.

    Args:
        stream: with `read1`.
    """
    pending = b""
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        pending += chunk
        # A carriage return at the very end may be half of a line's end.
        kept = pending[-1:] if pending.endswith(b"\r") else b""
        ready = pending[: len(pending) - len(kept)]
        end = 0
        for found in _ENDS.finditer(ready):
            yield from _line(found[1], found[2] == b"\r")
            end = found.end()
        pending = ready[end:] + kept
    yield from _line(pending.rstrip(b"\r"), False)


class Ending:
    """Remembers what of a stage's output tells how it ended."""

    def __init__(self) -> None:
        self._said: deque[str] = deque(maxlen=50)

    def add(self, line: Line) -> None:
        """Takes one line."""
        if not line.passing:
            self._said.append(line.text)

    @property
    def what_happened(self) -> str:
        """In DVC's words: whether the stage ran, or was restored from the cache, or was there."""
        for line in self._said:
            if line.startswith("Running stage"):
                return "ran"
            if "is cached - skipping run" in line:
                return "restored from the cache"
        return "unchanged"

    def check(self, address: str, code: int) -> None:
        """Raises what a return code of `dvc repro` stands for.

        Args:
            address: of the stage, for messages.
            code: the process's; negative after a signal.

        Raises:
            StageInterrupted: to be tried again.
            StageFailed: not to be tried again; after exit code 2 with the stage's own line.
        """
        if code == 0:
            return
        exits = [int(found[1]) for line in self._said if (found := _EXITED.search(line))]
        inner = exits[-1] if exits else code
        said = self._last_error() or f"exit code {inner}; its log says why"
        if inner < 0 or inner in (TERMINATED, KILLED):
            raise StageInterrupted(f"{address} was ended by a signal (exit code {inner})")
        if any(_PASSING.search(line) for line in self._said):
            raise StageInterrupted(f"{address}: {said}")
        raise StageFailed(f"{address}: {said}")

    def _last_error(self) -> str:
        """The stage's own line where there is one, else DVC's."""
        own = [line for line in self._said if line.startswith("error: ")]
        dvc = [line for line in self._said if line.startswith("ERROR: ")]
        return next((lines[-1].split(": ", 1)[1] for lines in (own, dvc) if lines), "")


def _line(raw: bytes, passing: bool) -> Iterator[Line]:
    text = _ESCAPES.sub("", raw.decode("utf-8", errors="replace")).rstrip()
    if text and not text.startswith(_ADVICE):
        yield Line(text, passing)
