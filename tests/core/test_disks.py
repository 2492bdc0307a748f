from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from semflow.core.disks import refusal_of

FULL = Path("/dev/full")
"""Takes nothing: every write says that no room is left."""


@pytest.mark.parametrize("wrong", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_refusal_is_found_behind_what_it_led_to(wrong: int) -> None:
    error = RuntimeError("unexpected position")
    # As an error has it that was raised while another one was handled.
    error.__context__ = OSError(wrong, "no", "some.tar")
    found = refusal_of(error)
    assert found is not None
    assert (found.errno, found.filename) == (wrong, "some.tar")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_what_torch_makes_of_a_full_disk_is_one() -> None:
    with pytest.raises((RuntimeError, OSError)) as caught, FULL.open("wb", buffering=0) as file:
        torch.save({"weights": torch.zeros(10_000)}, file)
    found = refusal_of(caught.value)
    assert found is not None
    assert found.errno == errno.ENOSPC


def test_what_safetensors_says_of_one_is_read() -> None:
    said = 'Error while serializing: I/O error: Read-only file system (os error 30) at path "/a/b"'
    found = refusal_of(SafetensorError(said))
    assert found is not None
    assert (found.errno, found.filename) == (errno.EROFS, "/a/b")


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "no"), SafetensorError("HeaderTooLarge"), ValueError("no")]
)
def test_other_errors_are_none(error: Exception) -> None:
    assert refusal_of(error) is None
