from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semflow.core.errors import UserError
from semflow.core.seals import SEAL, check_seal, seal


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights").write_bytes(b"\x00\x01")
    (tmp_path / "index.json").write_text("{}", "utf-8")
    seal(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_sealed_passes_and_one_without_a_seal_too(sealed: Path) -> None:
    check_seal(sealed)
    (sealed / SEAL).unlink()
    (sealed / "index.json").write_text("{ }", "utf-8")
    check_seal(sealed)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "unet/weights").write_bytes(b"\x00\x03"), "weights was altered"),
        (lambda folder: (folder / "index.json").unlink(), "index.json is missing"),
        (lambda folder: (folder / SEAL).write_text("[]"), "no list of checksums"),
        (lambda folder: (folder / SEAL).write_text('{"/etc/passwd": ""}'), "no list of checksums"),
    ],
)
def test_a_flipped_bit_and_a_lost_file_are_named(
    sealed: Path, harm: Callable[[Path], object], said: str
) -> None:
    harm(sealed)
    with pytest.raises(UserError, match=said):
        check_seal(sealed)
