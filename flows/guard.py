"""Runs a command so that it and all it has started end when it ends, or whoever started it.

    python -P -m flows.guard COMMAND...

SIGTERM, or the death of the parent, becomes SIGTERM for every descendant, whatever session or
process group it is in, and after SEMFLOW_GRACE_SECONDS, by default 10, SIGKILL. If the guard itself
is killed, the command gets SIGTERM (on Linux). The exit code is the command's, 128 + N after a
signal, 127 if it cannot be started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType

import psutil

GRACE_VARIABLE = "SEMFLOW_GRACE_SECONDS"
DEFAULT_GRACE = 10.0
TERMINATED = 128 + signal.SIGTERM
NOT_FOUND = 127
# <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Runs the command of the command line."""
    parent = os.getppid()
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    # Descendants that lose their parents become children of this process, and are found again.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        # A session of its own: a signal to the guard's group reaches the command once, from here.
        child = subprocess.Popen(sys.argv[1:], preexec_fn=_end_with_parent, start_new_session=True)
    except OSError as error:
        sys.stderr.write(f"error: {sys.argv[1]} cannot be started ({error.strerror})\n")
        return NOT_FOUND
    while child.poll() is None and not asked and os.getppid() == parent:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.2)
    code = child.poll()
    end_descendants(float(os.environ.get(GRACE_VARIABLE) or DEFAULT_GRACE))
    if code is None:
        return TERMINATED
    return code if code >= 0 else 128 - code


def end_descendants(grace: float) -> None:
    """Ends all processes below this one: SIGTERM, and after so many seconds SIGKILL."""
    for send in (psutil.Process.terminate, psutil.Process.kill):
        left = psutil.Process().children(recursive=True)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                send(process)
        psutil.wait_procs(left, timeout=grace)


def guarded(command: list[str]) -> list[str]:
    """The command behind a guard."""
    # -P: the guard is this one, not that of whatever revision lies in the current folder.
    return [sys.executable, "-P", "-m", "flows.guard", *command]


def _end_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
