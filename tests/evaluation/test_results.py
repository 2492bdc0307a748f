from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from semflow.core.errors import UserError
from semflow.evaluation.results import (
    Diagnosis,
    Metrics,
    ProtocolRecord,
    Segmentation,
    SegmentationFigures,
    StateFigures,
    Synthesis,
    SynthesisFigures,
    System,
    read_metrics,
    write_curves,
    write_metrics,
)
from tools.closure import ROOT

RECORD = ProtocolRecord(
    preset="paper",
    real=4,
    fake=4,
    samples_per_mask=1,
    resolution=(16, 16),
    resize_filter="bicubic",
    squashed_photos=0,
    features="mobilenetv2",
    features_sha256="0" * 64,
    lpips_sha256=None,
    versions={},
)


def segmenting(miou: float) -> SegmentationFigures:
    return SegmentationFigures(
        miou=miou, miou_without_background=None, pixel_accuracy=0.5, iou_per_class=[None]
    )


def synthesizing(distance: float) -> SynthesisFigures:
    return SynthesisFigures(
        fd_mobilenetv2=distance,
        kd_mobilenetv2=0.1,
        st_lpips_to_truth=0.2,
        roundtrip_miou_unet=0.3,
        roundtrip_miou_semflow=0.4,
    )


def metrics_of(
    segmented: dict[int, SegmentationFigures], made: dict[int, SynthesisFigures]
) -> Metrics:
    by_sampler = System(
        segmentation={f"euler-{steps}": value for steps, value in segmented.items()},
        synthesis={f"euler-{steps}": value for steps, value in made.items()},
    )
    return Metrics(
        split="test",
        groups=4,
        classes=["all"],
        systems={"semflow": by_sampler},
        segmentation=Segmentation(
            samples=1,
            steps=2,
            miou=segmented[2].miou,
            miou_without_background=None,
            pixel_accuracy=0.5,
            oracle_miou=1,
            oracle_pixel_accuracy=1,
            by_steps=segmented,
        ),
        synthesis=Synthesis(
            samples=1,
            steps=1,
            reference_samples=1,
            floor_samples=(1, 1),
            resolution=(8, 8),
            floor_fd_mobilenetv2=0,
            floor_kd_mobilenetv2=0,
            diversity_st_lpips=0,
            protocol=None,
            roundtrip_miou=0.3,
            by_steps=made,
        ),
        baselines={},
    )


def test_curves_are_rows_in_the_order_of_steps_with_the_numbers_of_the_metrics(
    tmp_path: Path,
) -> None:
    metrics = metrics_of(
        {steps: segmenting(1 / steps) for steps in (25, 2, 10)},
        {steps: synthesizing(steps) for steps in (5, 1)},
    )
    one, two = tmp_path / "segmentation.json", tmp_path / "synthesis.json"
    write_curves(metrics, one, two)
    rows = json.loads(one.read_text("utf-8"))
    assert [(row["steps"], row["miou"]) for row in rows] == [(2, 0.5), (10, 0.1), (25, 0.04)]
    rows = json.loads(two.read_text("utf-8"))
    assert [(row["steps"], row["fd_mobilenetv2"]) for row in rows] == [(1, 1), (5, 5)]
    # A curve is drawn of numbers: intervals are left out.
    figures = {name for name in SynthesisFigures.model_fields if "interval" not in name}
    assert rows[0].keys() == {"steps", *figures} - {"tolerance"}


def test_a_score_of_nothing_is_null_in_the_file_and_when_read_again(tmp_path: Path) -> None:
    metrics = metrics_of({2: segmenting(float("nan"))}, {1: synthesizing(1)})
    write_metrics(metrics, tmp_path / "metrics.json")
    written = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert written["segmentation"]["miou"] is None
    assert written["systems"]["semflow"]["segmentation"]["euler-2"]["miou"] is None
    assert read_metrics(tmp_path / "metrics.json") == metrics


def test_a_diagnosis_is_the_same_when_read_again_and_older_files_have_none(tmp_path: Path) -> None:
    diagnosis = Diagnosis(
        samples=3,
        segmentation_steps=25,
        states=[StateFigures(t=0.04, miou_from_true=0.5, miou_from_own=float("nan"))],
        image_deviations=[1.5, 0.0],
        surviving_shares={2: [0.25, None]},
    )
    older = metrics_of({2: segmenting(0.5)}, {1: synthesizing(1)})
    metrics = older.model_copy(update={"diagnosis": diagnosis})
    path = tmp_path / "metrics.json"
    write_metrics(metrics, path)
    assert read_metrics(path) == metrics
    values = json.loads(path.read_text("utf-8"))
    assert values["diagnosis"]["states"] == [
        {"t": 0.04, "miou_from_true": 0.5, "miou_from_own": None}
    ]
    del values["diagnosis"]
    path.write_text(json.dumps(values), encoding="utf-8")
    assert read_metrics(path) == older


def test_the_committed_metrics_of_earth_fit_this_version() -> None:
    assert read_metrics(ROOT / "reports/earth/metrics.json").classes[0] == "water"


def test_metrics_of_another_version_are_refused_with_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"classes": []}')
    with pytest.raises(UserError, match="dvc repro evaluate") as refusal:
        read_metrics(tmp_path / "metrics.json")
    assert "\n" not in str(refusal.value)


def test_reading_results_takes_no_torch_along() -> None:
    script = "import sys, semflow.evaluation.results as r\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_a_record_lacks_nothing_adds_nothing_and_does_not_change() -> None:
    fields = RECORD.model_dump()
    for name in fields:
        with pytest.raises(ValidationError, match="missing"):
            ProtocolRecord.model_validate({k: v for k, v in fields.items() if k != name})
    with pytest.raises(ValidationError, match="extra_forbidden"):
        ProtocolRecord.model_validate({**fields, "note": ""})
    with pytest.raises(ValidationError, match="frozen"):
        RECORD.preset = "sis256"
