"""What stands behind the figures: the confusion matrix, and every image's score."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from support.evaluate_alone import simple_evaluation
from support.tiny import ALONE

from semflow.core.errors import UserError
from semflow.evaluation.counts import Counts, miou_by_image
from semflow.evaluation.details import Details, SegmentationDetails, read_details, write_details
from semflow.evaluation.evaluate import evaluate
from semflow.evaluation.segmentation import details_of
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams


def test_an_image_s_score_is_the_mean_over_the_classes_in_its_label_or_prediction() -> None:
    counts = Counts(3, ALONE)
    label = torch.tensor([[[0, 0], [1, 255]], [[2, 2], [2, 2]], [[255, 255], [255, 255]]])
    prediction = torch.tensor([[[0, 1], [1, 2]], [[2, 2], [0, 9]], [[0, 1], [2, 0]]])
    counts.update_maps(prediction, label)
    first, second, third = miou_by_image(counts.areas()).tolist()
    # Class 0: 1 of 2 pixels; class 1: 1 of 2; class 2 is predicted only where nothing is labelled.
    assert first == pytest.approx((1 / 2 + 1 / 2) / 2)
    # Class 2: 2 of 4, class 0 is predicted and never right; a prediction of no class accuses none.
    assert second == pytest.approx((2 / 4 + 0) / 2)
    assert math.isnan(third)
    found = details_of(counts, ["a", "b", "c"], steps=7)
    assert found.confusion == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 1]]
    assert found.miou_by_image == [first, second, None]
    assert (found.keys, found.steps) == (["a", "b", "c"], 7)


def test_an_evaluation_s_details_are_those_of_the_default_steps(
    moving_pipeline: SemFlowPipeline, pixels: Path, params: DatasetParams, tmp_path: Path
) -> None:
    changes = {"samples": 4, "batch_size": 3, "segmentation_steps": (5, 2), "adaptive": False}
    settings = params.evaluate.model_copy(update={**changes, "diversity_labels": 2})
    evaluation = simple_evaluation(moving_pipeline, pixels, settings, ALONE)
    evaluated = evaluate(evaluation, settings, tmp_path)
    found, figures = evaluated.details.segmentation, evaluated.metrics.segmentation
    assert found is not None
    assert figures is not None
    assert found.steps == figures.steps == 1
    assert found.keys == [evaluation.samples.key(item) for item in range(4)]
    counts = torch.tensor(found.confusion).double()
    right = counts.diagonal()
    union = counts.sum(1) + counts[:, :-1].sum(0) - right
    assert float((right / union).nanmean()) == figures.miou
    assert float(right.sum() / counts.sum()) == figures.pixel_accuracy
    assert len(set(found.miou_by_image)) == 4


def test_details_are_read_as_they_were_written(tmp_path: Path) -> None:
    details = Details(
        segmentation=SegmentationDetails(
            steps=2, confusion=[[3, 1, 0], [0, 5, 2]], keys=["a", "b"], miou_by_image=[0.5, None]
        )
    )
    for one in (details, Details(segmentation=None)):
        write_details(one, tmp_path / "details.json")
        assert read_details(tmp_path / "details.json") == one


@pytest.mark.parametrize(
    "changes",
    [
        {"confusion": [[1, 0], [0, 1]]},
        {"confusion": [[1, -1, 0], [0, 1, 0]]},
        {"confusion": []},
        {"confusion": [[]]},
        {"keys": ["a"]},
        {"miou_by_image": [0.5, "high"]},
        {"more": 1},
    ],
)
def test_details_that_do_not_fit_are_refused_with_what_to_run(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    whole = {
        "steps": 2,
        "confusion": [[3, 1, 0], [0, 5, 2]],
        "keys": ["a", "b"],
        "miou_by_image": [0.5, 0.25],
    }
    path = tmp_path / "details.json"
    path.write_text(json.dumps({"segmentation": {**whole, **changes}}), "utf-8")
    with pytest.raises(UserError, match=r"does not fit this version .*run: dvc repro evaluate"):
        read_details(path)
    path.unlink()
    with pytest.raises(UserError, match=r"details\.json"):
        read_details(path)
