"""The stage `train`: in a process of its own, or without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semflow.core.resume import ROOT_VARIABLE
from semflow.params.reading import read_stage_params
from semflow.training.checkpoints import SECONDS_VARIABLE
from semflow.training.stage import TrainStage
from stages.entry import Folders
from stages.train import main
from tools.closure import ROOT


def start(
    scratch: str, seconds: float, launcher: tuple[str, ...] = (sys.executable,)
) -> subprocess.Popen[str]:
    """Starts it in the current folder, in a process group of its own.

    Args:
        scratch: folder for unfinished work.
        seconds: between saved states.
        launcher: what stands before `-m stages.train`.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        ROOT_VARIABLE: scratch,
        SECONDS_VARIABLE: str(seconds),
    }
    return subprocess.Popen(
        [*launcher, "-m", "stages.train", "earth"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_here(scratch: str) -> None:
    """Runs it in this process, on one thread; its own process would import everything anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ROOT_VARIABLE, str(Path(scratch)))
        main("earth", read_stage_params("earth", TrainStage), Folders("earth"))
