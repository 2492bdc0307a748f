from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from semflow.core.provenance import Provenance, provenance_of, without_docstrings


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


def test_code_is_that_of_the_packages_in_use() -> None:
    code = provenance_of({}, []).code
    assert "semflow.core" in code
    assert {name.split(".")[0] for name in code} <= {"semflow", "stages"}
    assert all(name.count(".") <= 1 for name in code)


MODULE = """
\"\"\"A module.\"\"\"
import math

LIMIT = 3
\"\"\"What it is.\"\"\"

def area(radius):
    \"\"\"Of a circle.\"\"\"
    return math.pi * radius**2  # a comment
"""


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# a comment", "# another one", True),
        ("A module.", "Something else.", True),
        ("What it is.", "What it means.", True),
        ("Of a circle.", "Of a disc,\n    in square metres.", True),
        ("LIMIT = 3", "LIMIT = 4", False),
        ("radius**2", "radius**3", False),
        ("import math", "import math, os", False),
    ],
)
def test_comments_and_docstrings_of_code_do_not_count_and_all_else_does(
    old: str, new: str, same: bool
) -> None:
    changed = MODULE.replace(old, new)
    assert changed != MODULE
    assert (without_docstrings(changed) == without_docstrings(MODULE)) is same
