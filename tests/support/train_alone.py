"""The stage `train` in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from semflow.core.resume import ROOT_VARIABLE
from semflow.training.checkpoints import SECONDS_VARIABLE
from support.closure import ROOT


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
