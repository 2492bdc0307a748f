from __future__ import annotations

import json
from pathlib import Path

from semflow.evaluation.results import (
    Metrics,
    Segmentation,
    SegmentationFigures,
    Synthesis,
    SynthesisFigures,
    write_curves,
)


def test_curves_are_rows_in_the_order_of_steps_with_the_numbers_of_the_metrics(
    tmp_path: Path,
) -> None:
    segmenting = {
        steps: SegmentationFigures(
            miou=1 / steps, miou_without_background=None, pixel_accuracy=0.5, iou_per_class=[None]
        )
        for steps in (25, 2, 10)
    }
    synthesizing = {
        steps: SynthesisFigures(
            fd_mobilenetv2=steps,
            kd_mobilenetv2=0.1,
            st_lpips_to_truth=0.2,
            roundtrip_miou_unet=0.3,
            roundtrip_miou_semflow=0.4,
        )
        for steps in (5, 1)
    }
    metrics = Metrics(
        classes=["all"],
        segmentation=Segmentation(
            samples=1,
            steps=2,
            miou=0.5,
            miou_without_background=None,
            pixel_accuracy=0.5,
            oracle_miou=1,
            oracle_pixel_accuracy=1,
            by_steps=segmenting,
        ),
        synthesis=Synthesis(
            samples=1,
            steps=1,
            reference_samples=1,
            floor_samples=1,
            resolution=(8, 8),
            floor_fd_mobilenetv2=0,
            floor_kd_mobilenetv2=0,
            diversity_st_lpips=0,
            protocol=None,
            roundtrip_miou=0.3,
            by_steps=synthesizing,
        ),
        baselines={},
    )
    one, two = tmp_path / "segmentation.json", tmp_path / "synthesis.json"
    write_curves(metrics, one, two)
    rows = json.loads(one.read_text("utf-8"))
    assert [(row["steps"], row["miou"]) for row in rows] == [(2, 0.5), (10, 0.1), (25, 0.04)]
    rows = json.loads(two.read_text("utf-8"))
    assert [(row["steps"], row["fd_mobilenetv2"]) for row in rows] == [(1, 1), (5, 5)]
    assert rows[0].keys() == {"steps", *SynthesisFigures.model_fields}
