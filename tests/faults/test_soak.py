"""Train, evaluate and segment in a loop, for hours: `make test-faults-long`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
from PIL import Image
from support.road import OWN

from semflow.core.files import write_json
from semflow.evaluation.schema import EvaluateStage
from semflow.params.reading import read_stage_params
from semflow.pipeline import load_pipeline
from semflow.training.stage import TrainStage
from stages import evaluate, train
from stages.entry import Folders
from tools.closure import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.faults_long]

SECONDS_VARIABLE, DEFAULT_SECONDS = "SEMFLOW_SOAK_SECONDS", 7200.0
RESULTS_VARIABLE, RESULTS = "SEMFLOW_SOAK_RESULTS", "soak.json"
SETTLED = 2
"""Rounds in which libraries fill their caches; what follows is compared with them."""
MEMORY_GROWTH = 0.1
"""Of resident memory: its allocator's pools breathe."""
HANDLES, DISK = 4, 2**20
"""Open handles, and bytes below the project, beyond those of the settled rounds."""


def measured(round_number: int, seconds: float) -> dict[str, float]:
    """What this process holds now, and what lies below the current folder."""
    process = psutil.Process()
    return {
        "round": round_number,
        "seconds": round(seconds, 1),
        "resident_bytes": process.memory_info().rss,
        "handles": process.num_fds(),
        "disk_bytes": sum(path.stat().st_size for path in Path().rglob("*") if path.is_file()),
    }


def one_round() -> None:
    """All three in this process, where what is not let go of adds up."""
    folders = Folders(OWN)
    # A finished run would only be published again.
    shutil.rmtree(".scratch", ignore_errors=True)
    train.main(OWN, read_stage_params(OWN, TrainStage), folders)
    evaluate.main(OWN, read_stage_params(OWN, EvaluateStage), folders)
    photo = next((folders.raw / "test" / "images").glob("*.png"))
    photos = [Image.open(photo).convert("RGB")]
    [label] = load_pipeline(folders.pipeline).segment(photos, fit="resize")
    assert label.size


@pytest.mark.usefixtures("project")
def test_rounds_of_train_evaluate_and_segment_do_not_grow(
    noted: Callable[[str, Sequence[str]], None],
) -> None:
    seconds = float(os.environ.get(SECONDS_VARIABLE) or DEFAULT_SECONDS)
    path = ROOT / (os.environ.get(RESULTS_VARIABLE) or RESULTS)
    rounds: list[dict[str, float]] = []
    started = time.monotonic()
    while len(rounds) < SETTLED + 2 or time.monotonic() - started < seconds:
        one_round()
        rounds.append(measured(len(rounds) + 1, time.monotonic() - started))
        write_json(path, rounds)
    before, after = rounds[:SETTLED], rounds[SETTLED:]
    most = {name: max(one[name] for one in before) for name in rounds[0]}
    last = after[-1]
    assert last["resident_bytes"] < most["resident_bytes"] * (1 + MEMORY_GROWTH), json.dumps(last)
    assert last["handles"] <= most["handles"] + HANDLES, json.dumps(last)
    assert last["disk_bytes"] <= most["disk_bytes"] + DISK, json.dumps(last)
    noted(
        "rounds of train, evaluate and segment in one process",
        ["memory, handles and disk use do not grow"] * len(rounds),
    )
