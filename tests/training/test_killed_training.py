"""The stage `train` in a real process, killed and asked to end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from support.train_alone import run_here, start

from semflow.core.files import read_json, sha256_of
from semflow.core.provenance import PROVENANCE
from semflow.core.seals import SEAL
from semflow.training.speed import WORKERS
from stages.entry import Folders


def wait_for_state_after(step: int, scratch: str, process: subprocess.Popen[str]) -> int:
    """The step of the newest state, once it is another than that of an earlier process."""
    while (newest := newest_step(scratch)) <= step:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    return newest


def newest_step(scratch: str) -> int:
    notes = Path(scratch).rglob("*.pt.json")
    return max((int(note.name.removesuffix(".pt.json")) for note in notes), default=0)


def checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def left_of(group: int) -> list[psutil.Process]:
    """The processes of a group."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_or_ended_training_goes_on_and_gives_the_same_bytes(
    ready: Folders, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setenv(WORKERS, str(workers))
    run_here("undisturbed")
    expected = checksums(ready.pipeline)
    made_of = read_json(ready.pipeline / PROVENANCE)

    killed = start("disturbed", 0)
    wait_for_state_after(0, "disturbed", killed)
    assert len(left_of(killed.pid)) == 1 + workers
    # The training alone: nobody ends its workers for it.
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    psutil.wait_procs(left_of(killed.pid), timeout=2)
    assert not left_of(killed.pid)

    # Before its first step a SIGTERM just ends it, with nothing to save; so wait for a new state.
    ended = start("disturbed", 0.05)
    step = wait_for_state_after(newest_step("disturbed"), "disturbed", ended)
    # As a scheduler does: to every process of the step.
    os.killpg(ended.pid, signal.SIGTERM)
    asked = time.monotonic()
    _, log = ended.communicate(timeout=10)
    assert time.monotonic() - asked < 10
    assert ended.returncode == 143, log
    assert not left_of(ended.pid)
    assert int(re.search(r"train: resumed at step (\d+)", log).group(1)) > 0  # type: ignore[union-attr]
    assert "the same command goes on from there" in log

    resumed = start("disturbed", 3600)
    _, log = resumed.communicate()
    assert resumed.returncode == 0, log
    assert int(re.search(r"train: resumed at step (\d+)", log).group(1)) >= step  # type: ignore[union-attr]
    # Of the code, a process notes what it has loaded, and this one has loaded more.
    resumed_of = read_json(ready.pipeline / PROVENANCE)
    assert resumed_of.pop("code").items() <= made_of.pop("code").items()
    assert resumed_of == made_of
    found = checksums(ready.pipeline)
    assert found.keys() == expected.keys()
    assert {name for name in found if found[name] != expected[name]} <= {PROVENANCE, SEAL}
