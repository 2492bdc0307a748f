"""The paper's own network, 860 million random weights, down the real road at 512 x 512."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from support.tiny import pinned

from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.core.resume import ROOT_VARIABLE
from semflow.networks.known import KNOWN
from semflow.networks.null_prompt import null_prompt_from
from semflow.networks.schema import FolderSource
from semflow.networks.sources import WEIGHTS
from semflow.params.recipes import merge, round_trip, written
from semflow.training.checkpoints import SECONDS_VARIABLE
from tools.closure import ROOT
from tools.raw_trees import make_celebamask_hq

DATASET = "celebamask_hq"
READY = (
    "index",
    "shards",
    "pseudo_masks",
    "autoencoder",
    "backbone",
    "image_latents",
    "mask_latents",
)
"""The stages before training."""
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
GIB = 2**30
STEPS = 2
CHANGES: dict[str, Any] = {
    "shards": {"samples_per_shard": 4},
    "latents": {"batch_size": 1},
    "train": {
        "steps": STEPS,
        "batch_size": 2,
        "warmup_steps": 0,
        "sample_every": 100,
        "log_every": 1,
        "mixed_precision": "bf16",
    },
    "inference": {"segment_steps": 1, "synthesize_steps": 1},
}


@dataclass(frozen=True)
class Run:
    """How a command ended.

    Args:
        code: Its exit code, negative for a signal.
        seconds: From start to end.
        peak: Largest resident memory, bytes.
    """

    code: int
    seconds: float
    peak: int


def run(folder: Path, *arguments: str, until: str | None = None) -> Run:
    """Runs `python -m ARGUMENTS` in a folder; kills it as soon as files of a pattern exist."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        ROOT_VARIABLE: str(folder / "scratch"),
        SECONDS_VARIABLE: "0",
        "SEMFLOW_MICRO_BATCH": "1",
        "SEMFLOW_GRADIENT_CHECKPOINTING": "1",
        WORKERS_VARIABLE: "1",
    }
    for variable in (SCHEDULER_VARIABLE, "OMP_NUM_THREADS"):
        environment.pop(variable, None)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=folder, env=environment)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Run(process.returncode, time.monotonic() - started, usage.ru_maxrss * 1024)
        if until is not None and any(folder.glob(until)):
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.2)


def make_networks(folder: Path) -> dict[str, FolderSource]:
    """Stable Diffusion 1.5's autoencoder and U-Net with random weights, as diffusers saves them."""
    torch.manual_seed(0)
    vae = AutoencoderKL.from_config(KNOWN[STABLE_DIFFUSION, "vae"] | {"sample_size": 512})
    vae.save_pretrained(folder / "vae")
    unet = UNet2DConditionModel.from_config(KNOWN[STABLE_DIFFUSION, "unet"])
    unet.save_pretrained(folder / "sd" / "unet")
    null_prompt_from(torch.zeros(1, 77, 768)).save_pretrained(folder / "sd" / "null_prompt")
    return {
        "autoencoder": pinned(folder / "vae", folder / "vae"),
        "backbone": pinned(folder / "sd", folder / "sd" / "unet"),
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A workspace with faces in the download's layout and the paper's networks."""
    document = round_trip().load((ROOT / "params.yaml").read_text("utf-8"))
    document["datasets"] = [DATASET]
    for name, source in make_networks(tmp_path / "networks").items():
        document[DATASET][name] = source.model_dump()
    merge(document[DATASET], CHANGES)
    (tmp_path / "params.yaml").write_text(written(document), "utf-8")
    make_celebamask_hq(tmp_path / "data/raw" / DATASET, 10, 0)
    return tmp_path


@pytest.mark.heavy
def test_the_papers_network_trains_goes_on_after_a_kill_and_runs_both_ways_within_22_gib(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {stage: run(project, f"stages.{stage}", DATASET) for stage in READY}
    assert {one.code for one in runs.values()} == {0}
    killed = run(project, "stages.train", DATASET, until="scratch/**/*.pt.json")
    runs["train, goes on"] = run(project, "stages.train", DATASET)
    log = (project / "logs" / DATASET / "train.jsonl").read_text("utf-8").splitlines()
    assert killed.code == -signal.SIGKILL
    assert [json.loads(line)["step"] for line in log] == list(range(1, STEPS + 1))

    model = f"models/{DATASET}/pipeline"
    weights = project / model / "unet" / WEIGHTS
    assert 3.2 * GIB < weights.stat().st_size < 3.3 * GIB
    Image.effect_mandelbrot((512, 512), (-2, -1, 1, 1), 50).convert("RGB").save(
        project / "image.png"
    )
    main = "semflow.cli.main"
    runs["segment"] = run(project, main, "segment", model, "image.png", "--out", "out")
    (project / "out/image.png").rename(project / "label.png")
    runs["synthesize"] = run(project, main, "synthesize", model, "label.png", "--out", "out")

    with capsys.disabled():
        print()
        for name, one in {"train, killed": killed, **runs}.items():
            print(f"{name:16} {one.seconds:7.0f} s  {one.peak / GIB:6.2f} GiB")
    assert {one.code for one in runs.values()} == {0}
    assert max(one.peak for one in (killed, *runs.values())) < 22 * GIB
