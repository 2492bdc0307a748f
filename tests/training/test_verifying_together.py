"""Two processes that open the shards of one split."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_data import flip_a_byte

from semflow.core.files import read_json
from semflow.shards.manifest import write_manifest
from semflow.shards.tar import png_bytes, write_shard
from tools.closure import ROOT

TARS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of shards with one split of five tars."""
    split = tmp_path / "shards" / "train"
    split.mkdir(parents=True)
    image = png_bytes(np.zeros((4, 4, 3), np.uint8))
    shards = [
        write_shard([(f"{number}", {"image.png": image})], split / f"{number:06d}.tar")
        for number in range(TARS)
    ]
    write_manifest(split, {}, shards)
    return split.parent


def opened(folder: Path) -> list[dict[str, Any]]:
    """What both processes noted."""
    out = folder.parent / "out"
    out.mkdir()
    launcher = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    script = str(ROOT / "tests/support/verify_alone.py")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", *launcher, script, str(folder), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [read_json(out / f"{rank}.json") for rank in range(2)]


def test_each_tar_is_read_by_one_process_alone(folder: Path) -> None:
    first, second = opened(folder)
    assert first["processes"] == second["processes"] == 2
    assert first["read"] == ["000000.tar", "000002.tar", "000004.tar"]
    assert second["read"] == ["000001.tar", "000003.tar"]
    assert first["error"] is second["error"] is None


def test_what_one_process_finds_altered_stops_both_with_the_same_line(folder: Path) -> None:
    for number in (2, 1):
        flip_a_byte(folder / "train" / f"{number:06d}.tar")
    first, second = opened(folder)
    # Both found one; the line is of the first tar.
    assert first["error"] == second["error"]
    assert "000001.tar was altered" in first["error"]
    assert "dvc repro -f shards@earth" in first["error"]
