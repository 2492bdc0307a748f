"""Training on one process and on two."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file
from torch import Tensor
from train_alone import start

from semflow.files import read_json
from stages.entry import Folders

TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def lines() -> list[dict[str, float]]:
    """What training logged."""
    text = Path("logs/earth/train.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def shorten(steps: int) -> None:
    """Rounding that differs grows from step to step; a few steps show that nothing else does."""
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    values["earth"]["train"] |= {"steps": steps, "log_every": 2}
    yaml.dump(values, Path("params.yaml"))


def test_two_processes_take_the_same_steps_as_one_up_to_rounding(ready: Folders) -> None:
    shorten(20)
    found: list[tuple[list[dict[str, float]], dict[str, Tensor], dict[str, str]]] = []
    for scratch, launcher in (("one", (sys.executable,)), ("two", TWO)):
        process = start(scratch, 3600, launcher)
        _, log = process.communicate()
        assert process.returncode == 0, log
        made_by = read_json(ready.pipeline / "provenance.json")["hardware"]
        found.append((lines(), load_file(ready.pipeline / WEIGHTS), made_by))
    (one, one_weights, one_by), (two, two_weights, two_by) = found
    assert (one_by["world_size"], one_by["micro_batch"]) == (1, 4)
    assert (two_by["world_size"], two_by["micro_batch"]) == (2, 2)
    assert len(one) == len(two) > 5
    for mine, others in zip(one, two, strict=True):
        for name in ("step", "loss", "velocity", "anchor", "learning_rate"):
            assert mine[name] == pytest.approx(others[name], rel=1e-3), (mine, others)
    for name, weight in one_weights.items():
        assert float((weight - two_weights[name]).abs().max()) < 1e-3
