"""The stage `train`: in a process of its own, or without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file
from torch import Tensor

from semflow.core.files import read_json
from semflow.core.provenance import PROVENANCE
from semflow.core.resume import ROOT_VARIABLE
from semflow.params.reading import read_stage_params
from semflow.pipeline import load_pipeline
from semflow.schema import DatasetParams
from semflow.training.checkpoints import SECONDS_VARIABLE
from semflow.training.stage import TrainStage
from stages.entry import Folders
from stages.train import main
from tools.closure import ROOT

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
Trained = tuple[list[dict[str, float]], dict[str, Tensor], dict[str, object]]
"""What was logged, the trained weights, and the hardware that the checkpoint notes."""


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
        patch.setenv(ROOT_VARIABLE, scratch)
        main("earth", read_stage_params("earth", TrainStage), Folders("earth"))


def shorten(steps: int) -> None:
    """Rounding that differs grows from step to step; a few steps show that nothing else does."""
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    # A grid in the middle: looking at the average must leave what is trained as it was.
    values["earth"]["train"] |= {"steps": steps, "log_every": 2, "sample_every": steps // 2 - 1}
    yaml.dump(values, Path("params.yaml"))


def replace_blocks(params: DatasetParams, *names: str) -> None:
    """Writes some of the blocks into the current folder's params.yaml."""
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    values["earth"] |= {name: params.model_dump(mode="json")[name] for name in names}
    yaml.dump(values, Path("params.yaml"))


def trained() -> Trained:
    """What the stage has left in the current folder."""
    folder = Folders("earth").pipeline
    load_pipeline(folder)
    lines = Path("logs/earth/train.jsonl").read_text("utf-8").splitlines()
    hardware = read_json(folder / PROVENANCE)["hardware"]
    return [json.loads(line) for line in lines], load_file(folder / WEIGHTS), hardware


def assert_alike(one: Trained, other: Trained) -> None:
    """Up to rounding, the same values at the same steps, and the same weights."""
    assert len(one[0]) == len(other[0]) > 5
    for mine, others in zip(one[0], other[0], strict=True):
        for value in ("step", "loss", "velocity", "anchor", "learning_rate"):
            assert mine[value] == pytest.approx(others[value], rel=1e-3), (mine, others)
    assert one[1].keys() == other[1].keys()
    for name, weights in one[1].items():
        assert float((weights - other[1][name]).abs().max()) < 1e-3
