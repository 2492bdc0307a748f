from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TinyDataset

from semflow.errors import UserError
from semflow.shards.manifest import read_manifest, verify_shards, write_manifest

REBUILD = "dvc repro -f shards@earth"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-512])


@pytest.fixture
def folder(dataset: TinyDataset, tmp_path: Path) -> Path:
    """A copy of the train split's shards that may be spoiled."""
    return Path(shutil.copytree(dataset.shards / "train", tmp_path / "train"))


def test_sound_shards_pass(folder: Path) -> None:
    verify_shards(read_manifest(folder), REBUILD)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (flip_a_byte, "was altered: its sha256 is not the manifest's"),
        (cut_short, "bytes, its manifest says"),
        (Path.unlink, "is missing"),
    ],
)
@pytest.mark.parametrize("name", ["000000.tar", "000002.tar"])
def test_a_spoiled_tar_is_named_with_the_command_that_rebuilds_it(
    folder: Path, name: str, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(folder / name)
    with pytest.raises(UserError) as refusal:
        verify_shards(read_manifest(folder), REBUILD)
    message = str(refusal.value)
    assert message.startswith(str(folder / name))
    assert complaint in message
    assert message.endswith(REBUILD)
    assert "\n" not in message


def test_a_manifest_comes_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    before = (folder / "manifest.json").read_bytes()
    write_manifest(manifest)
    assert (folder / "manifest.json").read_bytes() == before
    assert read_manifest(folder) == manifest


def test_a_folder_without_a_manifest_is_not_complete(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json not found"):
        read_manifest(folder)
