"""A report's content, made up: every metric has a value of its own, so that none hides another."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semflow.core.provenance import Provenance
from semflow.evaluation.details import SegmentationDetails
from semflow.evaluation.results import (
    Diagnosis,
    InceptionScores,
    Metrics,
    Segmentation,
    SegmentationFigures,
    StateFigures,
    Synthesis,
    SynthesisFigures,
    System,
)
from semflow.params.reading import read_block
from semflow.report.content import Content, Example, WeightFile
from semflow.report.extremes import Extremes, Segmented
from semflow.report.films import FILM_TIMES, Film
from semflow.training.curve import TrainingCurve
from tools.closure import ROOT

CLASSES = ["water", "forest & bush", "<ice>", "barren"]
COLORS = ((20, 60, 120), (30, 150, 40), (240, 248, 255), (210, 200, 190))
SEGMENT_STEPS = (1, 2, 25)
SYNTHESIZE_STEPS = (1, 5)


def segmenting(start: float, evaluations: float | None = None) -> SegmentationFigures:
    """Scores that differ from those of any other start a thousandth or more away."""
    ious: list[float | None] = [start + 0.1 * i for i in range(1, 5)]
    return SegmentationFigures(
        miou=start,
        miou_without_background=None,
        pixel_accuracy=start + 0.55,
        iou_per_class=ious,
        evaluations=evaluations,
    )


def synthesizing(start: float, evaluations: float) -> SynthesisFigures:
    return SynthesisFigures(
        fd_mobilenetv2=100 * start,
        kd_mobilenetv2=start / 10,
        st_lpips_to_truth=start + 0.031,
        roundtrip_miou_unet=start + 0.052,
        roundtrip_miou_semflow=start + 0.073,
        evaluations=evaluations,
    )


def made_up_diagnosis() -> Diagnosis:
    """Two times and four channels, of which the last but one is the widest."""
    return Diagnosis(
        samples=77,
        segmentation_steps=25,
        states=[
            StateFigures(t=0.0, miou_from_true=0.541, miou_from_own=0.541),
            StateFigures(t=0.16, miou_from_true=0.682, miou_from_own=0.315),
        ],
        image_deviations=[0.2828, 1.414, 3.742, 0.0141],
        surviving_shares={2: [0.19, 0.35, 0.48, 0.041], 25: [0.7, 0.86, 0.95, 1.234]},
    )


def made_up_metrics() -> Metrics:
    by_steps = {
        steps: segmenting(0.211 + 0.007 * i, steps) for i, steps in enumerate(SEGMENT_STEPS)
    }
    made = {
        steps: synthesizing(0.419 - 0.109 * i, steps) for i, steps in enumerate(SYNTHESIZE_STEPS)
    }
    return Metrics(
        split="test",
        groups=4,
        classes=CLASSES,
        systems={
            "semflow": System(
                segmentation={f"euler-{steps}": value for steps, value in by_steps.items()},
                synthesis={f"euler-{steps}": value for steps, value in made.items()},
            )
        },
        segmentation=Segmentation(
            samples=1024,
            steps=2,
            miou=by_steps[2].miou,
            miou_without_background=None,
            pixel_accuracy=by_steps[2].pixel_accuracy,
            oracle_miou=0.973,
            oracle_pixel_accuracy=0.991,
            by_steps=by_steps,
        ),
        synthesis=Synthesis(
            samples=1024,
            steps=5,
            reference_samples=1023,
            floor_samples=(1024, 1023),
            resolution=(48, 64),
            floor_fd_mobilenetv2=7.77,
            floor_kd_mobilenetv2=-0.0012,
            diversity_st_lpips=0.0531,
            protocol=None,
            roundtrip_miou=made[5].roundtrip_miou_unet,
            by_steps=made,
        ),
        baselines={"color_classifier": segmenting(0.131), "unet": segmenting(0.333)},
        diagnosis=made_up_diagnosis(),
    )


def made_up_examples(keys: list[str], seeds: int) -> tuple[Example, ...]:
    draws = np.random.default_rng(0)

    def picture() -> np.ndarray:
        return draws.integers(0, 256, (8, 10, 3), dtype=np.uint8)

    def ids() -> np.ndarray:
        return draws.integers(0, len(CLASSES), (8, 10), dtype=np.uint8)

    return tuple(
        Example(key, picture(), ids(), ids(), tuple(picture() for _ in range(seeds)))
        for key in keys
    )


def made_up_films(keys: list[str]) -> tuple[Film, ...]:
    draws = np.random.default_rng(1)

    def frames() -> tuple[np.ndarray, ...]:
        return tuple(draws.integers(0, 256, (8, 10, 3), dtype=np.uint8) for _ in FILM_TIMES)

    return tuple(Film(key, frames(), frames()) for key in keys)


def made_up_details() -> SegmentationDetails:
    """Of two steps; barren does not occur, and some water is no class."""
    return SegmentationDetails(
        steps=2,
        confusion=[[700, 150, 100, 0, 50], [0, 400, 0, 0, 0], [1, 0, 2999, 0, 0], [0] * 5],
        keys=["tile_a", "tile_b", "tile_c", "tile_d", "tile_e"],
        miou_by_image=[0.5, 0.125, None, 0.75, 0.25],
    )


def made_up_extremes() -> Extremes:
    draws = np.random.default_rng(2)

    def one(key: str, miou: float) -> Segmented:
        ids = draws.integers(0, len(CLASSES), (2, 8, 10), dtype=np.uint8)
        image = draws.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        return Segmented(key, miou, image, ids[0], ids[1])

    worst = (one("tile_b", 0.1237), one("tile_e", 0.2513))
    return Extremes(worst, (one("tile_d", 0.7529), one("tile_a", 0.5031)))


def made_up_curve() -> TrainingCurve:
    return TrainingCurve(
        steps=[50, 100, 150],
        values={
            "loss": [2.5, 1.25, 1.5],
            "velocity": [0.625, 0.5, 0.375],
            "anchor": [0.3125, 0.25, 0.125],
            "learning_rate": [0.002, 0.001, 0.0],
        },
    )


@pytest.fixture
def metrics() -> Metrics:
    return made_up_metrics()


@pytest.fixture
def block() -> Mapping[str, Any]:
    """The parameters that the repository has, which must hold all that the page states."""
    return read_block("earth", ROOT / "params.yaml")


@pytest.fixture
def content(block: Mapping[str, Any], metrics: Metrics) -> Content:
    return Content(
        dataset="earth",
        block=block,
        seeds=(3, 5),
        metrics=metrics,
        solver="euler",
        image_size=(40, 56),
        class_colors=COLORS,
        anchors=tuple((5 * number, 0, 255) for number in range(len(COLORS))),
        ignore_color=(1, 2, 3),
        train_samples=2000,
        split_samples=2100,
        weights=(WeightFile("unet/weights.safetensors", 1234567, "ab" * 32),),
        provenance=Provenance(
            parameters={"train": {"steps": 700, "batch_size": 11}},
            inputs={"data/shards/earth/train/manifest.json": "cd" * 32},
            code={"semflow.flow.solvers": "ef" * 32},
            versions={"torch": "9.8.7"},
            hardware={"processor": "An <abacus>", "world_size": 3},
        ),
        examples=made_up_examples(["tile_a", "tile_b"], seeds=2),
        films=made_up_films(["tile_a"]),
        details=made_up_details(),
        extremes=made_up_extremes(),
        curve=made_up_curve(),
    )


@pytest.fixture
def scores() -> InceptionScores:
    """By one of the field's presets, without LPIPS between samples."""
    record = SimpleNamespace(preset="sis256", real=500, fake=2000, resolution=(256, 512))
    return InceptionScores.model_construct(
        fid=35.1234,
        kid=0.012341,
        floor_fid=4.5,
        floor_kid=None,
        lpips_gt=0.41,
        lpips_div=None,
        protocol=record,
    )
