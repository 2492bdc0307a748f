from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench import gpu
from semflow.core.files import read_json
from tools.closure import ROOT


def test_every_way_runs_on_a_processor_at_tiny_sizes_and_has_its_row(tmp_path: Path) -> None:
    sizes = ["--tiny", "--side", "16", "--batch", "2", "--steps", "1", "--precision", "bf16"]
    # In a process of its own: accelerate keeps the first precision that a process asks for.
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", *sizes, "--out", str(tmp_path / "found.json")],
        cwd=ROOT,
        env={**os.environ, "SEMFLOW_MICRO_BATCH": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = read_json(tmp_path / "found.json")
    assert found["hardware"]["mixed_precision"] == "bf16"
    assert found["hardware"]["micro_batch"] == 1
    assert list(found["ways"]) == [
        gpu.BARE,
        "the loop, mask latents cached",
        "the loop, masks encoded online",
    ]
    assert all(way["samples_per_second"] > 0 for way in found["ways"].values())
    assert all(f"| {name} |" in done.stdout for name in found["ways"])
    assert "batch 2 in parts of 1" in done.stdout


def test_the_settings_are_those_of_the_paper_with_so_many_steps_after_the_first() -> None:
    params = gpu.settings(8, 5, "bf16")
    assert (params.train.batch_size, params.train.steps) == (8, 5 + gpu.WARM_UP)
    assert params.flow.formulation == "semflow"
