"""Prefect tasks: one for each DVC stage, and what goes to and comes from the DVC remote.

Each works in processes of its own, which print into the run's log, say by a file how they ended,
and never outlive the flow.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import UPDATE_SECONDS, Progress
from flows.guard import guarded
from flows.process import Line, lines_of, running
from semflow.core.outcomes import EXIT_CODES, KILLED, OUTCOME_VARIABLE, TERMINATED
from semflow.core.progress import SECONDS_VARIABLE
from semflow.core.resume import ROOT_VARIABLE
from stages.launch import LAUNCH_VARIABLE

GPU_TAG = "gpu"
RETRIES = 3
RETRY_DELAYS = [10.0, 60.0, 300.0]
BUSY_SECONDS = 30.0
LOG_SECONDS = 30.0
"""Between two lines of the log that a progress bar is worth."""


class StageInterrupted(Exception):
    """Ended by something that passes: a signal, a lock, the network. To be tried again."""


class StageBusy(Exception):
    """Another run is making the same thing: to be looked at again when that has ended."""


class StageFailed(Exception):
    """Ended by what will happen again."""


class StageMissing(StageFailed):
    """Neither the cache nor a remote that answers has what was asked for."""


_ENDS_BADLY: dict[str, type[Exception]] = {
    "busy": StageBusy,
    "interrupted": StageInterrupted,
    "missing": StageMissing,
}


def _may_pass(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.result(raise_on_failure=False), StageInterrupted)


_AGAIN: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": RETRY_DELAYS,
    "retry_condition_fn": _may_pass,
    # DVC alone knows what is done.
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(task_run_name="{address}", **_AGAIN)
def run_stage(address: str, folder: str, scratch: str, pull: bool) -> str:
    """Brings one stage up to date.

    Args:
        address: As `dvc repro` takes it.
        folder: Root of the workspace.
        scratch: Where unfinished work lies, an absolute path.
        pull: Whether to look in the remote for what the cache has not.

    Returns:
        What was to be done: "ran", "restored from the cache" or "unchanged".

    Raises:
        StageInterrupted: What ended it passes; Prefect tries again.
        StageFailed: Trying again would not help; after the user's mistake, with the stage's line.
    """
    while True:
        try:
            return _followed(address, "reproduce", [address], folder, scratch, pull)
        except StageBusy as busy:
            # What the other run makes is in the cache when it ends, for this one too.
            get_run_logger().info("%s; looking again in %g seconds", busy, BUSY_SECONDS)
            time.sleep(BUSY_SECONDS)


@task(name="push", task_run_name="push", **_AGAIN)
def push(addresses: Sequence[str], folder: str) -> None:
    """Sends what stages have made to DVC's default remote.

    Args:
        addresses: Of the stages.
        folder: Root of the workspace.

    Raises:
        StageInterrupted: The remote is away; Prefect tries again.
        StageFailed: It does not take it.
    """
    _followed("push", "push", addresses, folder)


@task(name="pull", task_run_name="pull", **_AGAIN)
def pull(addresses: Sequence[str], folder: str) -> None:
    """Fetches what stages have made from DVC's default remote.

    Args:
        addresses: Of the stages.
        folder: Root of the workspace.

    Raises:
        StageInterrupted: The remote is away; Prefect tries again.
        StageMissing: It answers, and has not all of it.
        StageFailed: It cannot be read.
    """
    _followed("pull", "pull", addresses, folder)


def checkout(addresses: Sequence[str], folder: str) -> None:
    """Fetches what stages have made from DVC's cache.

    Args:
        addresses: Of the stages.
        folder: Root of the workspace.

    Raises:
        StageInterrupted: Something that passes has ended it.
        StageMissing: The cache has not all of it.
        StageFailed: It cannot be done.
    """
    _followed("checkout", "checkout", addresses, folder)


def _followed(
    name: str,
    action: str,
    targets: Sequence[str],
    folder: str,
    scratch: str = "",
    pull: bool = False,
) -> str:
    """Has DVC do it, its output in the log; returns what happened, or raises how it ended."""
    request = json.dumps({"action": action, "targets": list(targets), "pull": pull})
    show = _shown(get_run_logger().info, Progress(name))
    # In the workspace, which every node of a launch sees and which goes away with the run.
    parent = Path(folder, ".dvc", "tmp")
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="outcome-", dir=parent) as notes:
        result = Path(notes, "result")
        command = [sys.executable, "-P", "-m", "flows.dvc_stage", request, str(result)]
        environment = stage_environment(os.environ, scratch, notes)
        with running(command, Path(folder), environment) as process:
            assert process.stdout is not None
            for line in lines_of(process.stdout):
                show(line)
            code = process.wait()
        return _checked(name, result, code)


def _checked(name: str, result: Path, code: int) -> str:
    """What a command of DVC says of its end; without a word, its exit code has to do."""
    if result.is_file():
        found = json.loads(result.read_text(encoding="utf-8"))
        if found["how"] == "done":
            return str(found["said"])
        raise _ENDS_BADLY.get(found["how"], StageFailed)(f"{name}: {found['said']}")
    if code < 0 or code in (EXIT_CODES[KILLED], EXIT_CODES[TERMINATED]):
        raise StageInterrupted(f"{name}: ended by a signal")
    raise StageFailed(f"{name}: DVC did not start (exit code {code}); the log says why")


def stage_environment(environment: Mapping[str, str], scratch: str, outcome: str) -> dict[str, str]:
    """The environment of a stage: this interpreter first, output at once, a guard around it.

    The guard goes before the launcher, as part of what `stages.launch` starts: it finds ranks in
    whatever session they are, and ends them when `stages.launch` ends, which ends when DVC does.

    Args:
        environment: Of the flow.
        scratch: Absolute path; empty to leave what the environment says.
        outcome: Absolute path of the folder in which ranks note how they end.
    """
    launch = f"{shlex.join(guarded([]))} {environment.get(LAUNCH_VARIABLE, '')}"
    return {
        **environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        SECONDS_VARIABLE: environment.get(SECONDS_VARIABLE) or str(UPDATE_SECONDS),
        LAUNCH_VARIABLE: launch.strip(),
        OUTCOME_VARIABLE: outcome,
        **({ROOT_VARIABLE: scratch} if scratch else {}),
    }


def _shown(log: Callable[[str], None], progress: Progress) -> Callable[[Line], None]:
    """What to do with a line: into the log, of a progress bar only now and then."""
    shown_at = -LOG_SECONDS

    def show(line: Line) -> None:
        nonlocal shown_at
        if line.percent is not None:
            progress.update(line.percent)
        now = time.monotonic()
        if not line.passing or now - shown_at >= LOG_SECONDS:
            log(line.text)
            shown_at = now if line.passing else shown_at

    return show
