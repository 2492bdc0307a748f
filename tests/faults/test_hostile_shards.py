"""Tars and manifests that were altered in any way: `make test-faults`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny import TinyDataset

from semflow.core.errors import UserError
from semflow.shards.manifest import read_manifest, verify_shards

pytestmark = pytest.mark.faults

REBUILD = "dvc repro -f shards@earth"


@pytest.fixture(scope="module")
def sound(dataset: TinyDataset) -> Path:
    return dataset.shards / "train"


@settings(max_examples=200)
@given(st.data())
def test_no_tar_that_was_altered_passes(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path_factory.mktemp("tar") / "train"))
    path = data.draw(st.sampled_from(sorted(folder.glob("*.tar"))))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content) - 1))
    removed = data.draw(st.integers(0, 2000))
    inserted = data.draw(st.binary(max_size=2000))
    altered = content[:start] + inserted + content[start + removed :]
    path.write_bytes(altered)
    if altered != content:
        with pytest.raises(UserError):
            verify_shards(read_manifest(folder), REBUILD)


@settings(max_examples=200)
@given(st.data())
def test_no_place_in_a_manifest_that_was_altered_passes(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path_factory.mktemp("places") / "train"))
    path = folder / "manifest.json"
    head, *lines, end = path.read_text("utf-8").splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    tar = json.loads(lines[number].rstrip(","))
    places = tar["members"][data.draw(st.sampled_from(sorted(tar["members"])))]
    row, column = data.draw(st.integers(0, 1)), data.draw(st.integers(0, len(places[0]) - 1))
    before = places[row][column]
    places[row][column] = data.draw(st.integers(-(2**40), 2**40).filter(lambda n: n != before))
    comma = "," if lines[number].endswith(",") else ""
    lines[number] = json.dumps(tar, sort_keys=True, separators=(",", ":")) + comma
    path.write_text("\n".join([head, *lines, end]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="was altered"):
        verify_shards(read_manifest(folder), REBUILD)
