"""A command that does not outlive its flow, and what it prints: whole lines and progress bars."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from flows.guard import DEFAULT_GRACE, GRACE_VARIABLE, guarded
from semflow.core.terminal import printable

_ENDS = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# A bar of tqdm, or a whole line in its place (semflow/core/progress.py).
_PERCENT = re.compile(r": +(\d{1,3})%[|,]")


@contextmanager
def running(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a command in a session of its own; when the block is left, none of it is alive.

    An exception in the block, which Prefect raises on cancellation, asks it to end first and gives
    it SEMFLOW_GRACE_SECONDS for that.
    """
    process = subprocess.Popen(
        guarded(command),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        except BaseException:
            process.send_signal(signal.SIGTERM)
            # The guard needs a moment more than what it waits for itself.
            grace = float(environment.get(GRACE_VARIABLE) or DEFAULT_GRACE)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=grace + 2)
            raise
        finally:
            process.kill()


@dataclass(frozen=True)
class Line:
    """A piece of output.

    Args:
        text: Without its end and without escape sequences; other control characters as escapes.
        passing: Whether the next one is news of the same, as of a progress bar that goes on.
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
        stream: With `read1`.
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


def _line(raw: bytes, passing: bool) -> Iterator[Line]:
    text = _ESCAPES.sub("", raw.decode("utf-8", errors="replace")).expandtabs().rstrip()
    if text:
        line = Line(printable(text), passing)
        unfinished = line.percent is not None and line.percent < 100
        yield replace(line, passing=passing or unfinished)
