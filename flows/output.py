"""What a stage prints: whole lines, progress bars, and what the end of it means."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

TERMINATED, KILLED = 143, 137
MISTAKE = 2
_ENDS = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PERCENT = re.compile(r"(\d{1,3})%\|")
_EXITED = re.compile(r"failed to run: .* exited with (-?\d+)")
# A launcher ends with 1 whatever its rank ended with, which it tells: torchrun and accelerate for
# several processes, accelerate for one, and either when it is told to end itself.
# Ranks that say the same at once may do so on one line.
_REPEATED = re.compile(r"error: (.+?)(?:error: \1)*")
_RANK_EXITED = re.compile(
    r"failed \(exitcode: (-?\d+)\) local_rank: |"
    r"CalledProcessError: .* returned non-zero exit status (\d+)\.$"
)
_RANK_SIGNALLED = re.compile(
    r"CalledProcessError: .* died with <Signals\.\w+: (\d+)>\.$|"
    r"SignalException: Process \d+ got signal: (\d+)$"
)
_AT_WORK = re.compile(r"process \S+ is at work in ")
# What passes by itself: a lock, a full network, a file server that hangs, a node that is late, a
# port that is taken.
_PASSING = re.compile(
    r"Unable to acquire lock|is busy, it is being blocked by|"
    r"ConnectionError|ConnectionResetError|ConnectTimeout|ReadTimeout|Read timed out|"
    r"Could not connect to the endpoint URL|(?:Connect|Read) timeout on endpoint URL|"
    r"An error occurred \((?:SlowDown|RequestTimeout|ServiceUnavailable|InternalError|50[023])\)|"
    r"Rendezvous(?:Timeout|Connection)Error|EADDRINUSE|"
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


class StageBusy(Exception):
    """Another run is making the same thing: to be looked at again when that has ended."""


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
        self.what_happened = "unchanged"
        """Whether the stage "ran", was "restored from the cache", or neither."""
        self._own = self._dvc = ""
        self._exit: int | None = None
        self._ranks: list[int] = []
        # A traceback and a launcher's report of sixteen ranks.
        self._last: deque[str] = deque(maxlen=200)

    def add(self, line: Line) -> None:
        """Takes one line."""
        if line.passing:
            return
        text = line.text
        self._last.append(text)
        if text.startswith("Running stage"):
            self.what_happened = "ran"
        elif "is cached - skipping run" in text:
            self.what_happened = "restored from the cache"
        elif text.startswith("error: "):
            found = _REPEATED.fullmatch(text)
            self._own = found[1] if found else text.removeprefix("error: ")
        elif text.startswith("ERROR: ") and not self._dvc:
            # Of several, the first says why.
            self._dvc = text.removeprefix("ERROR: ")
        if found := _EXITED.search(text):
            self._exit = int(found[1])
        elif found := _RANK_EXITED.search(text):
            self._ranks.append(int(found[1] or found[2]))
        elif found := _RANK_SIGNALLED.search(text):
            self._ranks.append(-int(found[1] or found[2]))

    def check(self, address: str, code: int) -> None:
        """Raises what a return code of `dvc repro` stands for.

        Args:
            address: of the stage, for messages.
            code: the process's; negative after a signal.

        Raises:
            StageBusy: to be waited for.
            StageInterrupted: to be tried again.
            StageFailed: not to be tried again; after exit code 2 with the stage's own line.
        """
        if code == 0:
            return
        inner = self._first_cause(code if self._exit is None else self._exit)
        said = self._own or self._dvc or f"exit code {inner}; its log says why"
        if _is_signal(inner):
            raise StageInterrupted(f"{address} was ended by a signal (exit code {inner})")
        if _AT_WORK.search(self._own):
            raise StageBusy(f"{address}: {self._own}")
        if any(_PASSING.search(line) for line in self._last):
            raise StageInterrupted(f"{address}: {said}")
        raise StageFailed(f"{address}: {said}")

    def _first_cause(self, code: int) -> int:
        """What a rank ended with, where a launcher has hidden that behind its own code.

        A launcher ends the other ranks by signals, and they may break for want of their peer: a
        mistake goes before a signal, and a signal before anything else.
        """
        if _is_signal(code):
            return code
        ranks = sorted(self._ranks, key=lambda rank: (rank != MISTAKE, not _is_signal(rank)))
        return ranks[0] if ranks else code


def _is_signal(code: int) -> bool:
    return code < 0 or code in (TERMINATED, KILLED)


def _line(raw: bytes, passing: bool) -> Iterator[Line]:
    text = _ESCAPES.sub("", raw.decode("utf-8", errors="replace")).rstrip()
    if text and not text.startswith(_ADVICE):
        yield Line(text, passing)
