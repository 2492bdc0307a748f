"""Evaluation on one process and on two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from semflow.evaluation import ranks
from semflow.evaluation.ranks import Team
from tools.closure import ROOT


def measured(pixels: Path, out: Path, launcher: tuple[str, ...]) -> dict[str, object]:
    """What `evaluate_alone.py` writes when it is launched so."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "OMP_NUM_THREADS": "1",
    }
    command = [*launcher, str(ROOT / "tests/support/evaluate_alone.py"), str(pixels), str(out)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, object] = json.loads(out.read_text("utf-8"))
    return found


def test_two_processes_find_exactly_what_one_finds(pixels: Path, tmp_path: Path) -> None:
    two = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    alone = measured(pixels, tmp_path / "one.json", (sys.executable,))
    assert measured(pixels, tmp_path / "two.json", two) == alone


@pytest.mark.parametrize("count", [0, 1, 3])
def test_more_processes_than_batches_do_every_batch_once_and_keep_their_order(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launched(rank: int) -> Any:
        return SimpleNamespace(
            device="cpu", is_main_process=rank == 0, process_index=rank, num_processes=8
        )

    team = [Team(launched(rank)) for rank in range(8)]
    shares = [[torch.tensor([float(number)]) for number in one.share(count)] for one in team]
    monkeypatch.setattr(ranks, "gather_object", lambda _mine: shares)
    for one, share in zip(team, shares, strict=True):
        assert [int(tensor) for tensor in one.in_order(share)] == list(range(count))
