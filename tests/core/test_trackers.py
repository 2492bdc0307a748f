from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate.tracking import GeneralTracker

from semflow.core import trackers
from semflow.core.errors import UserError
from semflow.core.logs import TrainingLog
from semflow.core.trackers import TRACKERS_VARIABLE, chosen_trackers
from tools.closure import ROOT

LOGS = """
from semflow.core.logs import TrainingLog
log = TrainingLog("earth", "train")
log.start(0)
for step in (1, 2):
    log.add(step, {"loss": 1 / step})
"""


class Notebook(GeneralTracker):
    """Keeps what it is told, as any of accelerate's trackers would send it on."""

    name = "notebook"
    requires_logging_directory = True
    kept: ClassVar[list[tuple[str, Any]]] = []

    def __init__(self, folder: Path, run: str) -> None:
        super().__init__()
        self.about = (folder, run)

    @property
    def tracker(self) -> list[tuple[str, Any]]:
        return self.kept

    def start(self) -> None:
        folder, run = self.about
        self.kept.append(("start", (str(folder), folder.is_dir(), run)))

    def log(self, values: dict[str, float], step: int | None = None, **_more: Any) -> None:
        self.kept.append(("log", (step, values["loss"])))

    def finish(self) -> None:
        self.kept.append(("finish", None))


def test_a_tracker_gets_every_line_that_is_kept_and_then_every_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRACKERS_VARIABLE, "json, json")
    monkeypatch.setattr(trackers, "MAKERS", {"json": ("train", Notebook)})
    monkeypatch.setattr(Notebook, "kept", [])
    log = TrainingLog("earth", "train")
    log.start(0)
    log.add(1, {"loss": 1.0})
    log.add(2, {"loss": 0.5})
    started = ("start", ("logs/earth/train", True, "earth/train"))
    assert Notebook.kept == [started, ("log", (1, 1.0)), ("log", (2, 0.5))]
    Notebook.kept.clear()
    log.start(1)
    log.add(2, {"loss": 0.25})
    assert Notebook.kept == [("finish", None), started, ("log", (1, 1.0)), ("log", (2, 0.25))]
    assert not (tmp_path / "logs/earth/train/tensorboard").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [(None, ["tensorboard"]), ("", []), (" , ", []), ("tensorboard,tensorboard", ["tensorboard"])],
)
def test_the_environment_chooses_and_tensorboard_is_there_unless_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, text: str | None, names: list[str]
) -> None:
    if text is None:
        monkeypatch.delenv(TRACKERS_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(TRACKERS_VARIABLE, text)
    assert chosen_trackers() == names


def test_a_tracker_that_is_not_known_or_not_installed_is_told_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TRACKERS_VARIABLE, "tensorbord")
    with pytest.raises(UserError, match="'tensorbord'; give any of tensorboard, wandb, or nothing"):
        TrainingLog("earth", "train")
    monkeypatch.setenv(TRACKERS_VARIABLE, "tensorboard,wandb")
    monkeypatch.setattr(trackers, "find_spec", lambda name: None if name == "wandb" else name)
    with pytest.raises(UserError, match=r"wandb, which is not .*'semflow\[trackers\]'"):
        TrainingLog("earth", "train")


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="of the extra trackers")
@pytest.mark.parametrize("mode", [None, "disabled"])
def test_weights_and_biases_writes_a_run_beside_dvclive_and_is_offline_by_itself(
    tmp_path: Path, mode: str | None
) -> None:
    home = {"HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ['PYTHONPATH']}"}
    environment = os.environ | home | {TRACKERS_VARIABLE: "wandb"}
    if mode is not None:
        environment["WANDB_MODE"] = mode
    command = [sys.executable, "-c", LOGS]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    runs = [*(tmp_path / "logs/earth/train/wandb").glob("offline-run-*/run-*.wandb")]
    assert len(runs) == (1 if mode is None else 0)
    lines = (tmp_path / "logs/earth/train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [1.0, 0.5]
    if runs:
        from wandb.sdk.internal.datastore import DataStore

        store = DataStore()
        store.open_for_scan(str(runs[0]))
        assert b"steps_per_second" in b"".join(iter(store.scan_data, None))
