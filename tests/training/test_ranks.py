"""Training on one process, on two, and on two that share the parameters."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file
from support.train_alone import run_here, start
from torch import Tensor

from semflow.core.files import read_json
from semflow.pipeline import load_pipeline
from semflow.training.environment import MICRO_BATCH
from stages.entry import Folders
from tools.closure import ROOT

TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
SHARED = (
    *(sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0"),
    *("--config_file", str(ROOT / "launch" / "fsdp.yaml")),
)
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
Trained = tuple[list[dict[str, float]], dict[str, Tensor], dict[str, object]]


def lines() -> list[dict[str, float]]:
    """What training logged."""
    text = Path("logs/earth/train.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def shorten(steps: int) -> None:
    """Rounding that differs grows from step to step; a few steps show that nothing else does."""
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    # A grid in the middle: looking at the average must leave what is trained as it was.
    values["earth"]["train"] |= {"steps": steps, "log_every": 2, "sample_every": steps // 2 - 1}
    yaml.dump(values, Path("params.yaml"))


def what_it_left(folders: Folders) -> Trained:
    made_by = read_json(folders.pipeline / "provenance.json")["hardware"]
    return lines(), load_file(folders.pipeline / WEIGHTS), made_by


def train(folders: Folders, scratch: str, launcher: tuple[str, ...]) -> Trained:
    process = start(scratch, 3600, launcher)
    _, log = process.communicate()
    assert process.returncode == 0, log
    return what_it_left(folders)


def test_two_processes_take_the_same_steps_as_one_up_to_rounding(
    ready: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(12)
    run_here("one")
    one, one_weights, one_by = what_it_left(ready)
    classes = read_json(ready.pipeline / "model_index.json")
    assert (one_by["world_size"], one_by["micro_batch"]) == (1, 4)

    monkeypatch.setenv(MICRO_BATCH, "1")
    for name, launcher, kind in (("two", TWO, "multi_cpu"), ("shared", SHARED, "fsdp")):
        many, many_weights, many_by = train(ready, name, launcher)
        assert (many_by["world_size"], many_by["micro_batch"]) == (2, 1)
        assert many_by["distributed"] == kind
        assert len(one) == len(many) > 5
        for mine, others in zip(one, many, strict=True):
            for value in ("step", "loss", "velocity", "anchor", "learning_rate"):
                assert mine[value] == pytest.approx(others[value], rel=1e-3), (mine, others)
        for weight in one_weights:
            difference = (one_weights[weight] - many_weights[weight]).abs().max()
            assert float(difference) < 1e-3
        # What was shared is saved whole, as any other checkpoint.
        assert read_json(ready.pipeline / "model_index.json") == classes
        load_pipeline(ready.pipeline)
