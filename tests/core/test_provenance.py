from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.closure import ROOT

from semflow.core.provenance import Provenance, provenance_of


def fingerprint(**changed: object) -> str:
    parts: dict[str, object] = {
        "parameters": {"steps": 3},
        "inputs": {"a": "1"},
        "code": {"semflow.flow.solvers": "2"},
        "versions": {"torch": "3"},
        "hardware": {"threads": 2},
    }
    return Provenance(**{**parts, **changed}).fingerprint()  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["parameters", "inputs", "code", "versions", "hardware"])
def test_every_part_changes_the_fingerprint(part: str) -> None:
    assert fingerprint() == fingerprint()
    assert fingerprint(**{part: {"other": 1}}) != fingerprint()


def test_inputs_are_hashed_file_by_file_and_shard_folders_by_their_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights, shards = Path("models/unet"), Path("shards/train")
    for folder in (weights, shards):
        folder.mkdir(parents=True)
    (weights / "a.bin").write_bytes(b"weights")
    (weights / "config.json").write_text("{}")
    (shards / "000000.tar").write_bytes(b"tar")
    (shards / "manifest.json").write_text("[]")
    found = provenance_of({}, [weights, Path("shards")]).inputs
    assert found == {
        "models/unet/a.bin": hashlib.sha256(b"weights").hexdigest(),
        "models/unet/config.json": hashlib.sha256(b"{}").hexdigest(),
        "shards/train/manifest.json": hashlib.sha256(b"[]").hexdigest(),
    }


def test_code_is_that_of_the_modules_in_use() -> None:
    code = provenance_of({}, []).code
    source = (ROOT / "semflow/provenance.py").read_bytes()
    assert code["semflow.core.provenance"] == hashlib.sha256(source).hexdigest()
    assert {name.split(".")[0] for name in code} <= {"semflow", "stages"}
