from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest
from support.closure import ROOT

from semflow.core.errors import UserError
from semflow.core.scratch import KEPT, scratch_path
from semflow.core.resume import ROOT_VARIABLE, held


def leave_unfinished(folder: Path) -> None:
    """Ends work in a folder by an error."""
    with suppress(ZeroDivisionError), held(folder):
        (folder / "step").write_text("7")
        raise ZeroDivisionError


def test_the_folder_is_named_by_stage_data_set_and_fingerprint(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert scratch_path("train", "earth", "ab" * 32) == Path(".scratch/train/earth") / ("ab" * 8)
    monkeypatch.setenv(ROOT_VARIABLE, str(workspace / "elsewhere"))
    assert scratch_path("train", "earth", "cd" * 32).parents[2] == workspace / "elsewhere"


def test_a_folder_stays_after_an_error_and_goes_after_success(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "0"
    leave_unfinished(folder)
    with held(folder):
        assert (folder / "step").read_text() == "7"
    assert list(folder.parent.iterdir()) == []


def test_two_processes_never_work_in_one_folder_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "train" / "0"
    script = (
        "import sys, time; from pathlib import Path; from semflow.scratch import held\n"
        "with held(Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {other.pid} is at work"), held(folder):
            pass
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    with held(folder):
        assert folder.is_dir()


def test_a_lock_whose_owner_ends_while_it_is_asked_for_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lock = tmp_path / "work", tmp_path / "work.lock"
    lock.touch()
    flock = fcntl.flock

    def owner_ends(file: IO[str], operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        lock.unlink()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", owner_ends)
    with held(folder):
        assert lock.read_text("ascii") == str(os.getpid())
        with pytest.raises(UserError, match=f"process {os.getpid()} is at work in"), held(folder):
            pass
    assert not folder.exists()


def test_only_the_newest_unfinished_folders_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        folder = tmp_path / str(number)
        leave_unfinished(folder)
        os.utime(folder, (number + 1, number + 1))
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert left == [str(number) for number in range(3, KEPT + 3)]
