"""Training by as many processes as launch it, which may share the parameters.

Run as `python tests/support/share_alone.py FOLDER PRECISION WHAT...`. WHAT is the name of a data
set, whose stage `train` is run in the current folder; or a number of steps, to which a network of
its own is trained from the newest state in FOLDER on. Each step is saved; then the averaged weights
are written to FOLDER/weights.safetensors and FOLDER is copied to FOLDER-WHAT.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import stages.train
from semflow.networks.velocity import VelocityField, scratch_unet
from semflow.schema import read_params
from semflow.training.checkpoints import SECONDS_VARIABLE, Checkpoints
from semflow.training.environment import new_accelerator
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.stage import TrainStage
from stages.entry import run
from support.tiny_data import BACKBONE
from tools.closure import ROOT


class Draws:
    """Samples that follow from their position alone."""

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        torch.manual_seed(position)
        index = torch.tensor(position)
        return {"moments": torch.randn(4, 8, 8), "uniform": torch.rand(()), "index": index}


class Silent:
    """A log of nothing."""

    def start(self, step: int) -> None: ...

    def add(self, step: int, values: dict[str, float]) -> None: ...


def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
    """Towards the sine of the input."""
    x = batch["moments"]
    return {"loss": (model(x, batch["uniform"]) - x.sin()).square().mean()}


def train(folder: Path, precision: str, steps: int) -> None:
    """To so many steps in all, from where the folder's state is."""
    settings = read_params(ROOT / "params.yaml").dataset("earth").train
    update: dict[str, Any] = {"batch_size": 4, "schedule": "constant", "warmup_steps": 0}
    settings = settings.model_copy(update=update | {"steps": steps, "learning_rate": 1e-3})
    settings = settings.model_copy(update={"mixed_precision": precision})
    accelerator = new_accelerator(settings)
    model = VelocityField(scratch_unet(BACKBONE, 0, 4, 4), torch.zeros(1, 1, 8))
    weights = optimise(
        model,
        loss_of,
        cast(TrainingSamples, Draws()),
        settings,
        accelerator,
        Progress("train", Silent(), watch_nothing),
        Checkpoints(folder),
    )
    if accelerator.is_main_process:
        save_file(
            {name: w.contiguous() for name, w in weights.items()}, folder / "weights.safetensors"
        )
        shutil.copytree(folder, f"{folder}-{steps}")


def run_stage(dataset: str) -> None:
    """As DVC runs it."""
    sys.argv[1:] = [dataset]
    run(stages.train.main, TrainStage)


if __name__ == "__main__":
    folder, precision, *what = sys.argv[1:]
    for one in what:
        if one.isdecimal():
            os.environ[SECONDS_VARIABLE] = "0"
            train(Path(folder), precision, int(one))
        else:
            run_stage(one)
