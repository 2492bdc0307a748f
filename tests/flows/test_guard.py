"""With real processes: none survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from flows.guard import GRACE_VARIABLE, guarded
from flows.process import running
from tools.closure import ROOT

# Writes its pid, and on SIGTERM another file; a session of its own, as torchrun's ranks have.
WORKER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def end(*_):
    (folder / "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == "stubborn" else end)
(folder / "worker").write_text(str(os.getpid()))
time.sleep(60)
"""
# A launcher that knows nothing of its worker's end.
LAUNCHER = """
import pathlib, subprocess, sys, os
folder = pathlib.Path(sys.argv[1])
(folder / "launcher").write_text(str(os.getpid()))
subprocess.Popen([sys.executable, "-c", sys.argv[3], *sys.argv[1:3]], start_new_session=True).wait()
"""
# Stands for the flow: starts the guard and waits.
FLOW = """
import subprocess, sys
subprocess.Popen(sys.argv[1:]).wait()
"""


def environment(grace: float = 5) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), GRACE_VARIABLE: str(grace)}


def tree(folder: Path, manner: str = "polite") -> list[str]:
    return [sys.executable, "-c", LAUNCHER, str(folder), manner, WORKER]


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def alive(folder: Path, name: str) -> bool:
    try:
        process = psutil.Process(int((folder / name).read_text()))
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for_worker(folder: Path) -> None:
    assert until(lambda: (folder / "worker").is_file() and (folder / "worker").read_text() != "")


@pytest.mark.parametrize(("code", "expected"), [("exit(0)", 0), ("exit(2)", 2)])
def test_the_exit_code_is_the_commands(code: str, expected: int) -> None:
    command = guarded([sys.executable, "-c", code])
    assert subprocess.run(command, env=environment(), check=False).returncode == expected


def test_after_a_signal_it_is_128_more() -> None:
    command = guarded([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert subprocess.run(command, env=environment(), check=False).returncode == 137


@pytest.mark.parametrize("victim", ["flow", "guard", "both"])
def test_a_killed_parent_takes_ranks_in_their_own_sessions_with_it(
    tmp_path: Path, victim: str
) -> None:
    # Two guards, as a stage has them: one around dvc, one around what it runs.
    command = [sys.executable, "-c", FLOW, *guarded(guarded(tree(tmp_path)))]
    with subprocess.Popen(command, env=environment()) as flow:
        wait_for_worker(tmp_path)
        guard = psutil.Process(flow.pid).children()[0]
        if victim in ("flow", "both"):
            flow.kill()
        if victim in ("guard", "both"):
            guard.kill()
        assert until(lambda: not alive(tmp_path, "worker"), 10)
        assert until(lambda: not alive(tmp_path, "launcher"), 10)
    assert (tmp_path / "saved").exists()


def test_an_orphaned_rank_ends_with_the_command(tmp_path: Path) -> None:
    with subprocess.Popen(guarded(tree(tmp_path)), env=environment()) as guard:
        wait_for_worker(tmp_path)
        os.kill(int((tmp_path / "launcher").read_text()), signal.SIGKILL)
        assert until(lambda: not alive(tmp_path, "worker"), 10)
        assert guard.wait(10) == 137


def test_leaving_the_block_by_an_exception_lets_work_be_saved_first(tmp_path: Path) -> None:
    with (
        suppress(KeyboardInterrupt),
        running(tree(tmp_path), tmp_path, environment()),
    ):
        wait_for_worker(tmp_path)
        raise KeyboardInterrupt
    assert (tmp_path / "saved").exists()
    assert not alive(tmp_path, "worker")


def test_what_does_not_end_when_asked_is_killed_after_the_grace(tmp_path: Path) -> None:
    started = 0.0
    with (
        suppress(KeyboardInterrupt),
        running(tree(tmp_path, "stubborn"), tmp_path, environment(grace=1)),
    ):
        wait_for_worker(tmp_path)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - started < 6
    assert not alive(tmp_path, "worker")
