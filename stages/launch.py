"""Starts a stage, behind the launcher that SEMFLOW_LAUNCH names: what dvc.yaml's commands run.

    python -m stages.launch STAGE [DATASET]

The variable is split here and not by a shell, since shells differ in it. Without a launcher the
stage takes the place of this process. With one, this process waits, hands signals on, and ends with
what the ranks' ends come to: 2 after a mistake of the user's, 75 while another run makes the same,
137 or 143 if a rank was killed or asked to end, 1 after any other failure. A launcher itself ends
with 1 whatever its ranks have ended with.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from semflow.core.errors import UserError
from semflow.core.outcomes import (
    BUSY,
    ELASTIC_FILE,
    EXIT_CODES,
    LAUNCH_FILE,
    MISTAKE,
    OUTCOME_VARIABLE,
    RUNNING,
    Outcome,
    outcome_of,
    read_elastic,
    read_ranks,
    together,
    write_outcome,
)
from semflow.core.resume import ROOT_VARIABLE

LAUNCH_VARIABLE = "SEMFLOW_LAUNCH"
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOOK_SECONDS = 0.2


def main() -> int:
    """Runs the stage of the command line; returns the exit code, or does not return."""
    try:
        command = _command(sys.argv[1:])
        prefix = _prefix(os.environ)
        if not prefix:
            sys.stdout.flush()
            os.execv(command[0], command)
        with _outcome_folder(os.environ) as folder:
            return EXIT_CODES[_launched([*prefix, *command], folder).state]
    except UserError as error:
        if given := os.environ.get(OUTCOME_VARIABLE):
            write_outcome(Path(given) / LAUNCH_FILE, outcome_of(error))
        sys.stderr.write(f"error: {error}\n")
        return EXIT_CODES[MISTAKE]


def _command(arguments: list[str]) -> list[str]:
    if not arguments or not arguments[0].isidentifier():
        raise UserError("usage: python -m stages.launch STAGE [DATASET]")
    return [sys.executable, "-m", f"stages.{arguments[0]}", *arguments[1:]]


def _prefix(environment: Mapping[str, str]) -> list[str]:
    value = environment.get(LAUNCH_VARIABLE, "")
    try:
        return shlex.split(value)
    except ValueError as error:
        raise UserError(
            f"{LAUNCH_VARIABLE}={value} is no command line ({error}); mend its quotes"
        ) from None


@contextmanager
def _outcome_folder(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where the ranks note how they end: an empty folder that all nodes of a launch see.

    The caller's, or one below the scratch root, which a launch on several nodes shares anyway.
    """
    if given := environment.get(OUTCOME_VARIABLE):
        folder = Path(given).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.json"):
            path.unlink()
        yield folder
    else:
        root = Path(environment.get(ROOT_VARIABLE) or ".scratch").absolute()
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="launch-", dir=root) as made:
            yield Path(made)


def _launched(command: list[str], folder: Path) -> Outcome:
    """Runs the command and folds its ranks' outcomes; several ranks' line is said once more."""
    note = folder / LAUNCH_FILE
    write_outcome(note, Outcome(RUNNING, time=time.time()))
    code = _run(command, folder)
    ranks = read_ranks(folder)
    outcome = together(ranks, code, read_elastic(folder))
    write_outcome(note, outcome)
    # It stands somewhere above the launcher's report.
    if outcome.state in (MISTAKE, BUSY) and len(ranks) > 1:
        sys.stderr.write(f"error: {outcome.said}\n")
    return outcome


def _run(command: list[str], folder: Path) -> int:
    """The command's exit code, negative after a signal.

    Its process group gets the signals that this process gets, and SIGTERM when this process has
    lost its parent: nobody waits for the result any more.
    """
    parent = os.getppid()
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    for number in _FORWARDED:
        signal.signal(number, note)
    environment = {
        **os.environ,
        OUTCOME_VARIABLE: str(folder),
        "TORCHELASTIC_ERROR_FILE": str(folder / ELASTIC_FILE),
    }
    try:
        # A group of its own: a terminal's Ctrl-C reaches it once, from here.
        child = subprocess.Popen(command, env=environment, process_group=0)
    except OSError as error:
        raise UserError(
            f"{LAUNCH_VARIABLE}: {command[0]} cannot be started ({error.strerror}); "
            "name a program that is on PATH"
        ) from None
    while (code := child.poll()) is None:
        if os.getppid() != parent:
            parent = os.getppid()
            asked.append(signal.SIGTERM)
        while asked:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, asked.pop(0))
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_LOOK_SECONDS)
    return code


if __name__ == "__main__":
    sys.exit(main())
