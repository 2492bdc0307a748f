"""Prefect tasks: one for each DVC stage, and what goes to and comes from the DVC remote.

Each works in processes of its own that never outlive the flow.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts import Progress
from flows.guard import DEFAULT_GRACE, GRACE_VARIABLE, guarded
from flows.output import Ending, Line, StageBusy, StageInterrupted, lines_of
from flows.workspace import DVC
from semflow.core.scratch import ROOT_VARIABLE

GPU_TAG = "gpu"
RETRIES = 3
RETRY_DELAYS = [10.0, 60.0, 300.0]
LAUNCH_VARIABLE = "SEMFLOW_LAUNCH"
BUSY_SECONDS = 30.0
LOG_SECONDS = 30.0
"""Between two lines of the log that a progress bar is worth."""


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
        address: as `dvc repro` takes it.
        folder: root of the workspace.
        scratch: where unfinished work lies.
        pull: whether to look in the remote for what the cache has not.

    Returns:
        What was to be done: "ran", "restored from the cache" or "unchanged".

    Raises:
        StageInterrupted: what ended it passes; Prefect tries again.
        StageFailed: trying again would not help; after the user's mistake, with the stage's line.
    """
    command = ["repro", "--single-item", *(["--pull"] if pull else []), address]
    environment = stage_environment(os.environ, scratch)
    while True:
        try:
            return _followed(address, command, Path(folder), environment)
        except StageBusy as busy:
            # What the other run makes is in the cache when it ends, for this one too.
            get_run_logger().info("%s; looking again in %g seconds", busy, BUSY_SECONDS)
            time.sleep(BUSY_SECONDS)


@task(name="push", task_run_name="push", **_AGAIN)
def push(addresses: Sequence[str], folder: str) -> None:
    """Sends what stages have made to DVC's default remote.

    Args:
        addresses: of the stages.
        folder: root of the workspace.

    Raises:
        StageInterrupted: the remote is away; Prefect tries again.
        StageFailed: it does not take it.
    """
    _followed("push", ["push", *addresses], Path(folder), os.environ)


@task(name="pull", task_run_name="pull", **_AGAIN)
def pull(addresses: Sequence[str], folder: str) -> None:
    """Fetches what stages have made from DVC's default remote.

    Args:
        addresses: of the stages.
        folder: root of the workspace.

    Raises:
        StageInterrupted: the remote is away; Prefect tries again.
        StageFailed: it cannot be read or has not all of it.
    """
    _followed("pull", ["pull", *addresses], Path(folder), os.environ)


def _followed(
    name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> str:
    """Runs dvc, its output in the log; returns what happened, or raises what its end means."""
    ending = Ending()
    show = _shown(get_run_logger().info, Progress(name))
    with running([*DVC, *arguments], folder, environment) as process:
        assert process.stdout is not None
        for line in lines_of(process.stdout):
            ending.add(line)
            show(line)
        code = process.wait()
    ending.check(name, code)
    return ending.what_happened


def stage_environment(environment: Mapping[str, str], scratch: str) -> dict[str, str]:
    """The environment of a stage: this interpreter first, output at once, a guard around it.

    Args:
        environment: of the flow.
        scratch: absolute path.
    """
    guard = shlex.join(["python", *guarded([])[1:]])
    return {
        **environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        ROOT_VARIABLE: scratch,
        LAUNCH_VARIABLE: f"{guard} {environment.get(LAUNCH_VARIABLE, '')}".strip(),
    }


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
            _wait(process, float(environment.get(GRACE_VARIABLE) or DEFAULT_GRACE))
            raise
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], grace: float) -> None:
    """Waits for the guard, which needs a moment more than what it waits for itself."""
    try:
        process.wait(timeout=grace + 2)
    except subprocess.TimeoutExpired:
        process.kill()


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
