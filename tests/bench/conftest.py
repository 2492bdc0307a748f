from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.tiny_data import CLASSES

from semflow.evaluation.results import (
    Metrics,
    Segmentation,
    SegmentationFigures,
    Synthesis,
    SynthesisFigures,
    System,
)
from tools.closure import ROOT


@pytest.fixture
def project(workspace: Path) -> Path:
    """An empty workspace with the repository's own params.yaml and recipes."""
    shutil.copy(ROOT / "params.yaml", workspace)
    shutil.copytree(ROOT / "recipes", workspace / "recipes")
    return workspace


@pytest.fixture
def lines_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Runs a program's `main` with arguments, and returns the lines that it prints."""

    def run(main: Callable[[], object], *arguments: str | Path) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        capsys.readouterr()
        main()
        return capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def metrics() -> Metrics:
    """Numbers that can be told apart, of SemFlow with its default steps and of one more system."""
    segmenting = SegmentationFigures(
        miou=0.4375,
        miou_without_background=None,
        pixel_accuracy=0.75,
        iou_per_class=[0.1, None, 0.2, 0.3],
    )
    other = segmenting.model_copy(update={"miou": None})
    synthesizing = SynthesisFigures(
        fd_mobilenetv2=21.5,
        kd_mobilenetv2=0.25,
        st_lpips_to_truth=0.4,
        roundtrip_miou_unet=0.3125,
        roundtrip_miou_semflow=0.35,
    )
    return Metrics(
        split="test",
        groups=4,
        classes=list(CLASSES.names),
        systems={
            "semflow": System(
                segmentation={"euler-1": segmenting}, synthesis={"euler-2": synthesizing}
            ),
            "dsm": System(segmentation={"euler-25": other}, synthesis={}),
        },
        segmentation=Segmentation(
            samples=37,
            steps=1,
            miou=0.4375,
            miou_without_background=None,
            pixel_accuracy=0.75,
            oracle_miou=0.9375,
            oracle_pixel_accuracy=0.96,
            by_steps={1: segmenting, 10: segmenting, 2: segmenting},
        ),
        synthesis=Synthesis(
            samples=37,
            steps=2,
            reference_samples=41,
            floor_samples=(1, 1),
            resolution=(16, 16),
            floor_fd_mobilenetv2=0.5,
            floor_kd_mobilenetv2=0.1,
            diversity_st_lpips=0.203,
            protocol=None,
            roundtrip_miou=0.3125,
            by_steps={2: synthesizing},
        ),
        baselines={"unet": segmenting.model_copy(update={"miou": 0.875})},
    )
