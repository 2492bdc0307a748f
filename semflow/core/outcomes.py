"""How a stage ended, as files that a launcher cannot lose: one for each rank, one for the launch.

torchrun, accelerate and schedulers end with a code of their own whatever a rank has ended with, so
each rank notes its end in the folder that SEMFLOW_OUTCOME names, and `together` says what those
ends come to. Without the variable nothing is written.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from semflow.core.errors import Busy, UserError
from semflow.core.files import write_json
from semflow.core.passing import is_passing, is_passing_name

OUTCOME_VARIABLE = "SEMFLOW_OUTCOME"
LAUNCH_FILE = "launch.json"
ELASTIC_FILE = "torchelastic.json"
"""Where torchrun notes an exception of its own, if TORCHELASTIC_ERROR_FILE names it."""

RUNNING, DONE, MISTAKE, BUSY = "running", "done", "mistake", "busy"
KILLED, TERMINATED, FAILED = "killed", "terminated", "failed"
EXIT_CODES = {
    DONE: 0,
    FAILED: 1,
    MISTAKE: 2,
    BUSY: os.EX_TEMPFAIL,
    KILLED: 128 + signal.SIGKILL,
    TERMINATED: 128 + signal.SIGTERM,
}
_NOT_FOUND = (126, 127)
"""What shells, env and nice end with when they cannot start a program."""

_LAST = b"\0"


@dataclass(frozen=True)
class Outcome:
    """How a rank, or a whole launch, ended.

    Args:
        state: One of the names above; only a launch is "killed", since nobody notes it of himself.
        said: One line for the user; empty where there is nothing to say.
        passing: Whether what ended it is of a kind that passes: the network, a file server.
        time: When, in seconds since the epoch.
    """

    state: str
    said: str = ""
    passing: bool = False
    time: float = 0.0


def outcome_of(error: BaseException) -> Outcome:
    """What an exception that ended a stage stands for."""
    now = time.time()
    if isinstance(error, Busy):
        return Outcome(BUSY, str(error), time=now)
    if isinstance(error, UserError):
        return Outcome(MISTAKE, str(error), is_passing(error), now)
    if isinstance(error, KeyboardInterrupt):
        return Outcome(TERMINATED, time=now)
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return _outcome_of_code(code, now)
    kind = type(error)
    said = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    line = next(iter(str(error).splitlines()), "")
    return Outcome(FAILED, f"{said}: {line}" if line else said, is_passing(error), now)


def together(ranks: Sequence[Outcome], code: int, launcher: Outcome | None = None) -> Outcome:
    """What the ends of a launch's ranks come to.

    A rank's mistake goes before a rank that found another run at work, and that before a rank that
    vanished without a word: those which a launcher ends for want of a peer note that they were
    asked to. Of what is left, failures and ends on request, the first one has caused the others.

    Args:
        ranks: Of all ranks that have started.
        code: The launcher's exit code, negative after a signal; its 0 stands for success.
        launcher: What the launcher has noted of itself, if anything.
    """
    if code == 0:
        return Outcome(DONE)
    for state in (MISTAKE, BUSY, RUNNING):
        if found := [rank for rank in ranks if rank.state == state]:
            first = min(found, key=lambda rank: rank.time)
            return Outcome(KILLED, time=first.time) if state == RUNNING else first
    if found := [rank for rank in ranks if rank.state in (FAILED, TERMINATED)]:
        return min(found, key=lambda rank: rank.time)
    return launcher or _outcome_of_code(code, time.time())


def read_outcome(folder: Path, code: int) -> Outcome | None:
    """What the files of a folder come to; None where no stage has started.

    Args:
        folder: That SEMFLOW_OUTCOME named.
        code: Of the launcher; where it is not known, that of a killed process.
    """
    launch = _read(folder / LAUNCH_FILE)
    if launch is not None and launch.state != RUNNING:
        return launch
    ranks = read_ranks(folder)
    return together(ranks, code) if ranks or launch is not None else None


def read_ranks(folder: Path) -> list[Outcome]:
    """The outcomes of all ranks that have started."""
    found = map(_read, sorted(folder.glob("rank-*.json")))
    return [outcome for outcome in found if outcome is not None]


def read_elastic(folder: Path) -> Outcome | None:
    """What torchrun has failed with before any rank could start; None where it noted nothing."""
    try:
        noted = json.loads((folder / ELASTIC_FILE).read_text(encoding="utf-8"))
        said = str(noted["message"]["message"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # torchelastic writes "TYPE: text".
    kind, _, _ = said.partition(":")
    if kind == "SignalException":
        return Outcome(TERMINATED)
    return Outcome(FAILED, said.partition("\n")[0], is_passing_name(kind, "torch"))


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Writes a file in one rename; a stage does not fail for want of a place for its note."""
    with suppress(OSError):
        write_json(path, asdict(outcome))


@contextmanager
def noted_outcome() -> Iterator[None]:
    """Notes how the block of this rank goes and ends, if SEMFLOW_OUTCOME names a folder.

    SIGTERM is noted when it comes, also while the process waits for its peers in a library that
    lets no Python code run. Then the process ends with 143, unless the stage has a handler of its
    own.
    """
    folder = os.environ.get(OUTCOME_VARIABLE)
    if not folder:
        yield
        return
    note = _RankNote(Path(folder) / f"rank-{os.environ.get('RANK') or '0'}.json")
    note.write(Outcome(RUNNING, time=time.time()))
    with _watched(note):
        try:
            yield
        except BaseException as error:
            note.end(outcome_of(error))
            raise
        note.end(Outcome(DONE, time=time.time()))


class _RankNote:
    """The file of one rank, which the thread that watches for signals writes too.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asked: Outcome | None = None
        self._ended = False

    def write(self, outcome: Outcome, last: bool = False) -> None:
        """Writes it, unless the rank has noted its last one."""
        with self._lock:
            if not self._ended:
                write_outcome(self._path, outcome)
            self._ended = self._ended or last

    def terminate(self) -> None:
        """Notes that the rank was asked to end."""
        self._asked = self._asked or Outcome(TERMINATED, time=time.time())
        self.write(self._asked)

    def end(self, outcome: Outcome) -> None:
        """Notes the end; an error of a rank that was asked to end comes from its peers' ends."""
        asked = self._asked if outcome.state in (FAILED, KILLED, TERMINATED) else None
        self.write(asked or outcome, last=True)


@contextmanager
def _watched(note: _RankNote) -> Iterator[None]:
    """Has a thread note SIGTERM; Python hands it the signal's number from the C handler."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = threading.Thread(target=_watch, args=(reading, note), daemon=True)
    thread.start()
    before = signal.signal(signal.SIGTERM, _leave_to_the_thread)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # A forked worker that its parent ends would tell the parent's thread of it, or survive it.
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_unwatch)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        # Closing would not end the thread while a forked worker holds the pipe.
        os.write(writing, _LAST)
        thread.join()
        os.close(reading)
        os.close(writing)


def _watch(reading: int, note: _RankNote) -> None:
    while (number := os.read(reading, 1)) != _LAST:
        if number[0] == signal.SIGTERM:
            note.terminate()
            if signal.getsignal(signal.SIGTERM) is _leave_to_the_thread:
                os._exit(EXIT_CODES[TERMINATED])


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _unwatch() -> None:
    if signal.getsignal(signal.SIGTERM) is _leave_to_the_thread:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _let_go()


def _leave_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    """Stands where the default would end the process before its note is written."""


def _read(path: Path) -> Outcome | None:
    """A file of any revision's; what it does not say, or not in time, is as good as running."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(
            str(values["state"]),
            str(values.get("said", "")),
            bool(values.get("passing")),
            float(values.get("time", 0.0)),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Outcome(RUNNING)


def _outcome_of_code(code: int, now: float) -> Outcome:
    """What an exit code alone says."""
    if code == EXIT_CODES[DONE]:
        return Outcome(DONE, time=now)
    if code in (EXIT_CODES[TERMINATED], -signal.SIGTERM, -signal.SIGINT):
        return Outcome(TERMINATED, time=now)
    if code < 0 or code > 128:
        return Outcome(KILLED, time=now)
    if code == EXIT_CODES[BUSY]:
        return Outcome(BUSY, "another run is making the same", time=now)
    # A launcher's own mistakes, as a wrong option, have the code that ours have.
    state = MISTAKE if code in (EXIT_CODES[MISTAKE], *_NOT_FOUND) else FAILED
    return Outcome(state, f"exit code {code}; its output says why", time=now)
