"""Stages as they are run, killed at random moments: `make test-faults`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bench.kills import OUTS, Subject, digest
from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.core.resume import ROOT_VARIABLE
from stages.entry import Folders
from tools.closure import ROOT
from tools.raw_trees import make_folder
from tools.smoke_datasets import OWN, RECIPE, with_all_listed

pytestmark = pytest.mark.faults

IMAGES = 12
ROAD = (
    "index",
    "shards",
    "pseudo_masks",
    "autoencoder",
    "backbone",
    "image_latents",
    "mask_latents",
    "train",
)
KILLED = ("index", "shards", "pseudo_masks", "image_latents", "train")
KILLS = 2


@pytest.fixture
def project(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own few images under the smoke recipe."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    for name in ("recipes", "pretrained"):
        (workspace / name).symlink_to(ROOT / name)
    text = with_all_listed((ROOT / "params.yaml").read_text("utf-8"))
    (workspace / "params.yaml").write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "semflow.cli.main", "use", RECIPE, OWN], check=True)
    make_folder(Path("data/raw") / OWN, IMAGES, 0)
    return workspace


def kill_at(subject: Subject, seconds: float) -> bool:
    """Kills a new run and all its processes after so long; whether it was still at work."""
    with subject.start() as process:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", [0])
def test_every_stage_that_is_killed_at_random_moments_ends_in_the_same_bytes(
    project: Path, seed: int
) -> None:
    moments = random.Random(seed)
    for stage in ROAD:
        out = getattr(Folders(OWN), OUTS.get(stage, stage))
        subject = Subject(
            [sys.executable, "-m", f"stages.{stage}", OWN], out, project / "scratch" / stage
        )
        started = time.monotonic()
        assert subject.start().wait() == 0, stage
        seconds, expected = time.monotonic() - started, digest(out)
        if stage not in KILLED:
            continue
        shutil.rmtree(subject.scratch)
        killed = 0
        for _ in range(KILLS):
            # As DVC does before it runs a stage.
            shutil.rmtree(out, ignore_errors=True)
            killed += kill_at(subject, moments.random() * seconds)
            assert not out.exists() or digest(out) == expected, stage
        assert killed, stage
        shutil.rmtree(out, ignore_errors=True)
        assert subject.start().wait() == 0, stage
        assert digest(out) == expected, stage
