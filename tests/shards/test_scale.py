from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from tools.closure import ROOT

STAGES = ("index", "shards", "pseudo_masks", "latents")


def cost(folder: Path, samples: int) -> dict[str, float]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        WORKERS_VARIABLE: "2",
    }
    environment.pop(SCHEDULER_VARIABLE, None)
    folder.mkdir()
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/scale.py"), str(folder), str(samples)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


@pytest.mark.heavy
def test_ten_times_the_samples_take_ten_times_as_long_and_no_more_memory(tmp_path: Path) -> None:
    small, large = cost(tmp_path / "small", 10_000), cost(tmp_path / "large", 100_000)
    print(json.dumps({"10,000": small, "100,000": large}, indent=2))
    for stage in STAGES:
        assert large[f"{stage} seconds"] <= 12 * small[f"{stage} seconds"], stage
        for who in ("main", "worker"):
            assert large[f"{stage} {who} peak"] <= 1.1 * small[f"{stage} {who} peak"], stage
