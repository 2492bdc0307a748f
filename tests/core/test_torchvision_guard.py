from __future__ import annotations

import subprocess
import sys

from tools.closure import ROOT

SCRIPT = """
import sys
import semflow
from semflow import torchvision_guard as guard

def hooks():
    return sum(isinstance(finder, guard._Finder) for finder in sys.meta_path)

assert "torch" not in sys.modules
guard.install()
assert hooks() == 1, "the guard hooks in once"
import torchvision, torchmetrics, torchvision.transforms.functional as functional
guard.install()
assert hooks() == 0, "and steps aside"
import torch
assert torchmetrics.MetricCollection
assert hasattr(torch.ops.torchvision, "nms")
assert functional.resize(torch.zeros(1, 8, 8), [4, 4]).shape == (1, 4, 4)
"""


def test_torchvision_and_what_stands_on_it_import_after_semflow() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
