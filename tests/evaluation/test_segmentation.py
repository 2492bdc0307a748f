from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from support.tiny import ALONE, TinyDataset
from support.tiny_data import CLASSES, VAL_SAMPLES
from torch import Tensor

from semflow.evaluation.samples import Batch, ValSamples
from semflow.evaluation.score_segmentation import SegmentationProtocol, score_segmentation
from semflow.evaluation.segmentation import (
    bilinear_scores,
    count_pixels,
    measure_segmentation,
    nearest_labels,
)
from semflow.networks.anchors import anchor_distances
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder

NUM_CLASSES = len(CLASSES.names)


@pytest.fixture
def tested(dataset: TinyDataset) -> ValSamples:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    return ValSamples(folder, tuple(range(VAL_SAMPLES)), batch_size=2, team=ALONE)


def test_nearest_labels_take_the_class_of_the_pixel_they_lie_in() -> None:
    scores = torch.tensor([[[5.0, 1.0]], [[0.0, 2.0]]])
    assert nearest_labels(scores, (2, 4)).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]
    assert nearest_labels(scores, (1, 2)).tolist() == [[0, 1]]


def test_bilinear_scores_move_the_border_towards_the_less_certain_pixel() -> None:
    # Class 0 leads by 5 on the left and trails by 1 on the right: between the two pixels' centres,
    # at 1 and 3 of 4, the lead is zero five sixths of the way, at 1 + 2 * 5 / 6 = 2.67.
    scores = torch.tensor([[[5.0, 1.0]], [[0.0, 2.0]]])
    assert bilinear_scores(scores, (1, 4)).tolist() == [[0, 0, 0, 1]]


def test_interpolated_scores_are_the_scores_of_interpolated_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 6, 5, generator=generator) * 2 - 1
    anchors = torch.rand(7, 3, generator=generator) * 2 - 1
    found = bilinear_scores(-anchor_distances(image, anchors)[0], (13, 17))
    colours = F.interpolate(image, (13, 17), mode="bilinear", align_corners=False)
    assert torch.equal(found, anchor_distances(colours, anchors)[0].argmin(dim=0))


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_pixels_are_counted_at_the_native_size_as_score_counts_exported_predictions(
    tested: ValSamples, params: DatasetParams, tmp_path: Path, upsampling: str
) -> None:
    """The tested segmenter's scores are random; exported, they go through `semflow score`."""
    generator = torch.Generator().manual_seed(1)
    made: list[Tensor] = []

    def answer(batch: Batch) -> Tensor:
        made.append(torch.rand(len(batch.label), NUM_CLASSES, 16, 16, generator=generator))
        return made[-1]

    settings = params.evaluate.model_copy(update={"upsampling": upsampling})
    confusion = count_pixels(answer, tested, settings, NUM_CLASSES, "test")
    upsample = {"nearest": nearest_labels, "bilinear": bilinear_scores}[upsampling]
    native = [label for batch in tested.batches("test") for label in batch.native_labels]
    keys = [tested.key(item) for item in range(len(tested))]
    for folder in ("predictions", "truth"):
        (tmp_path / folder).mkdir()
    for key, scores, label in zip(keys, torch.cat(made), native, strict=True):
        prediction = upsample(scores, (label.shape[0], label.shape[1])).numpy()
        Image.fromarray(prediction.astype(np.uint8)).save(tmp_path / "predictions" / f"{key}.png")
        Image.fromarray(label.numpy()).save(tmp_path / "truth" / f"{key}.png")
    protocol = SegmentationProtocol(NUM_CLASSES, "train", "train", background=0)
    scored = score_segmentation(tmp_path / "predictions", tmp_path / "truth", protocol)
    assert (confusion.miou, confusion.miou_without(0), confusion.pixel_accuracy) == (
        scored.miou,
        scored.miou_without_background,
        scored.pixel_accuracy,
    )
    counted = sum(int((label != 255).sum()) for label in native)
    assert int(confusion.matrix.sum()) == counted


def test_the_oracle_of_a_lossless_autoencoder_loses_only_what_resizing_loses(
    still_pipeline: SemFlowPipeline, tested: ValSamples, params: DatasetParams
) -> None:
    found = measure_segmentation(still_pipeline, tested, params.evaluate, background=3)
    assert 0.9 < found.oracle_pixel_accuracy <= 1
    assert found.steps in found.by_steps
    assert found.miou == found.by_steps[found.steps].miou
    without = found.by_steps[1].miou_without_background
    iou = [value for value in found.by_steps[1].iou_per_class[:3] if value is not None]
    assert without == pytest.approx(sum(iou) / len(iou))
