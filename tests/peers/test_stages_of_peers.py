"""Both stages as a study runs them: parameters out of study/rows.yaml, folders, one artifact."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from support.evaluate_alone import Difference, RowMeans

from semflow.core.files import read_json, sha256_of
from semflow.core.resume import ROOT_VARIABLE
from semflow.evaluation import evaluate as evaluation
from semflow.evaluation.results import Metrics, read_metrics
from semflow.evaluation.schema import EvaluateStage
from semflow.params.rows import ROWS_FILE
from semflow.peers.schema import PeerStage
from semflow.peers.synthesizer import CONFIG, WEIGHTS
from semflow.training.checkpoints import SECONDS_VARIABLE
from stages import evaluate_peer, peer
from stages.entry import folders_of, run
from tools.closure import ROOT

ADVERSARIAL = ("earth-spade", "earth-pix2pixhd", "earth-sc-gan", "earth-cyclegan")
Measure = Callable[[str], Metrics]


@pytest.fixture
def measured(study: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Trains and measures a row by both stages, with metric networks that weigh nothing."""
    assert study.is_dir()
    monkeypatch.setattr(evaluation, "load_mobilenet_features", lambda _path: RowMeans())
    monkeypatch.setattr(evaluation, "load_st_lpips", lambda _path: StillDifference())

    def train_and_measure(row: str) -> Metrics:
        monkeypatch.setattr(sys, "argv", ["stages/peer.py", row])
        run(peer.main, PeerStage)
        monkeypatch.setattr(sys, "argv", ["stages/evaluate_peer.py", row])
        run(evaluate_peer.main, EvaluateStage)
        return read_metrics(folders_of(row).metrics)

    return train_and_measure


class StillDifference(Difference):
    """The same on any device."""

    def to(self, _device: object) -> StillDifference:
        return self


@pytest.mark.parametrize("row", ADVERSARIAL)
def test_an_adversarial_peer_is_trained_and_measured_as_the_flow_is(
    row: str, measured: Measure
) -> None:
    found = measured(row)
    system = read_json(Path("models", row, "peer", CONFIG))["params"]["system"]
    assert {path.name for path in Path("models", row, "peer").iterdir()} == {
        CONFIG,
        WEIGHTS,
        "provenance.json",
    }
    assert found.systems.keys() == {system, "painter"}
    made = found.two_way_synthesis()
    assert (made.samples, made.steps, list(made.by_steps)) == (5, 1, [1])
    figures = made.by_steps[1]
    assert figures == found.systems[system].synthesis["pass-1"]
    assert figures.evaluations == 1
    assert figures.roundtrip_miou_unet == made.roundtrip_miou
    # Only two of them draw anything.
    assert (made.diversity_st_lpips > 0) == (system in ("spade", "sc_gan"))
    assert set(found.baselines) == {"color_classifier", "unet"}
    if system == "cycle_gan":
        segmentation = found.two_way_segmentation()
        assert (segmentation.steps, segmentation.oracle_pixel_accuracy) == (1, 1.0)
        assert figures.roundtrip_miou_semflow is not None
    else:
        assert found.segmentation is None
        assert found.systems[system].segmentation == {}
        assert figures.roundtrip_miou_semflow is None


def test_maskformer_segments_alone(measured: Measure) -> None:
    pytest.importorskip("transformers", reason="the extra `peers` is not installed")
    found = measured("earth-maskformer")
    assert list(found.systems) == ["maskformer"]
    assert found.synthesis is None
    segmentation = found.two_way_segmentation()
    assert (segmentation.samples, segmentation.steps) == (5, 1)
    figures = segmentation.by_steps[1]
    assert figures.evaluations == 1
    assert figures == found.systems["maskformer"].segmentation["pass-1"]
    assert segmentation.oracle_pixel_accuracy == 1
    weights = load_file(Path("models/earth-maskformer/peer", WEIGHTS))
    assert all(name.startswith("network.") for name in weights)


def test_without_transformers_the_stage_says_what_to_install(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.is_dir()
    ordinary = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "transformers":
            raise ImportError(name)
        return ordinary(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(sys, "argv", ["stages/peer.py", "earth-maskformer"])
    with pytest.raises(SystemExit) as ended:
        run(peer.main, PeerStage)
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        "error: MaskFormer needs the package transformers; run: pip install -e '.[peers]'"
    )
    assert not Path("models/earth-maskformer").exists()


def test_an_unknown_system_is_refused_with_those_that_there_are(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (study / ROWS_FILE).read_text("utf-8")
    (study / ROWS_FILE).write_text(text.replace("system: spade", "system: oasis"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["stages/peer.py", "earth-spade"])
    with pytest.raises(SystemExit):
        run(peer.main, PeerStage)
    [said] = capsys.readouterr().err.splitlines()
    assert "earth-spade.peer" in said
    assert "'cycle_gan'" in said


def started(scratch: str, seconds: float) -> subprocess.Popen[str]:
    """Stage `peer` of the row spade as a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        ROOT_VARIABLE: scratch,
        SECONDS_VARIABLE: str(seconds),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "stages.peer", "earth-spade"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_killed_stage_goes_on_and_gives_the_same_bytes(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (study / ROWS_FILE).read_text("utf-8")
    (study / ROWS_FILE).write_text(text.replace("steps: 3", "steps: 25"), encoding="utf-8")
    out = folders_of("earth-spade").pipeline
    monkeypatch.setenv(ROOT_VARIABLE, "undisturbed")
    monkeypatch.setattr(sys, "argv", ["stages/peer.py", "earth-spade"])
    run(peer.main, PeerStage)
    out.rename("expected")

    killed = started("disturbed", 0)
    while not list(Path("disturbed").rglob("*.pt.json")):
        assert killed.poll() is None, killed.communicate()[1]
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not out.exists()

    resumed = started("disturbed", 3600)
    _, log = resumed.communicate()
    assert resumed.returncode == 0, log
    assert "spade: resumed at step" in log
    for name in (WEIGHTS, CONFIG):
        assert sha256_of(out / name) == sha256_of(Path("expected", name))
