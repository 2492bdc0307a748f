"""The stage `train` in a real process, killed and asked to end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from support.train_alone import start

from semflow.core.files import sha256_of
from semflow.training.checkpoints import LATEST
from stages.entry import Folders


def wait_for_state(scratch: str, process: subprocess.Popen[str]) -> None:
    while not list(Path(scratch).rglob(LATEST)):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_killed_or_ended_training_goes_on_and_gives_the_same_bytes(ready: Folders) -> None:
    undisturbed = start("undisturbed", 3600)
    assert undisturbed.wait() == 0, undisturbed.communicate()[1]
    expected = checksums(ready.pipeline)

    killed = start("disturbed", 0)
    wait_for_state("disturbed", killed)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL

    # Before its first step a SIGTERM just ends it, with nothing to save; so wait for a new state.
    [latest] = Path("disturbed").rglob(LATEST)
    before = latest.read_bytes()
    ended = start("disturbed", 0.05)
    while latest.read_bytes() == before:
        assert ended.poll() is None, ended.communicate()[1]
        time.sleep(0.01)
    ended.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    _, log = ended.communicate(timeout=10)
    assert time.monotonic() - asked < 10
    assert ended.returncode == 143, log
    assert int(re.search(r"train: resumed at step (\d+)", log).group(1)) > 0  # type: ignore[union-attr]
    assert "the same command goes on from there" in log

    resumed = start("disturbed", 3600)
    _, log = resumed.communicate()
    assert resumed.returncode == 0, log
    assert "train: resumed at step" in log
    assert checksums(ready.pipeline) == expected
    assert not any(path.is_file() for path in Path("disturbed").rglob("*"))
