from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from filelock import Timeout

from semflow.core.errors import UserError
from semflow.core.files import whole_folder
from semflow.core.locks import locked
from semflow.core.resume import held


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    complaint = rf"{tmp_path} is on a file system without flock.*SEMFLOW_SCRATCH"
    with pytest.raises(UserError, match=complaint) as refusal, held(tmp_path / "work"):
        pass
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match=complaint), whole_folder(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_not_taken_for_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No space left"), locked(tmp_path / "lock", wait=False):
        pass


def test_a_lock_that_is_held_is_waited_for_or_not(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock", wait=True),
        pytest.raises(Timeout),
        locked(tmp_path / "lock", wait=False),
    ):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass
