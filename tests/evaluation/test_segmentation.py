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

from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.samples import Batch, Chosen, EvaluatedSamples, Latents, encode_batch
from semflow.evaluation.score_segmentation import SegmentationProtocol, score_segmentation
from semflow.evaluation.segmentation import (
    UPSAMPLING,
    SegmentationCounts,
    bilinear_scores,
    nearest_labels,
    oracle_segmenter,
)
from semflow.networks.anchors import anchor_distances
from semflow.pipeline import SemFlowPipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder

NUM_CLASSES = len(CLASSES.names)
EACH = Bootstrap(range(VAL_SAMPLES), seed=0)
NOTHING = Latents(torch.empty(0), torch.empty(0))


@pytest.fixture
def samples(dataset: TinyDataset) -> EvaluatedSamples:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    return EvaluatedSamples(
        Chosen(folder, tuple(range(VAL_SAMPLES))), None, batch_size=2, team=ALONE
    )


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
    samples: EvaluatedSamples, tmp_path: Path, upsampling: str
) -> None:
    """The tested segmenter's scores are random; exported, they go through `semflow score`."""
    generator = torch.Generator().manual_seed(1)
    made: list[Tensor] = []

    def segment(batch: Batch, _latents: Latents) -> Tensor:
        made.append(torch.rand(len(batch.label), NUM_CLASSES, 16, 16, generator=generator))
        return made[-1]

    counts = SegmentationCounts({"random": segment}, NUM_CLASSES, upsampling, ALONE)
    native = []
    for batch in samples.batches():
        counts.update(batch, NOTHING)
        native += batch.native_labels
    for folder in ("predictions", "truth"):
        (tmp_path / folder).mkdir()
    for item, (scores, label) in enumerate(zip(torch.cat(made), native, strict=True)):
        prediction = UPSAMPLING[upsampling](scores, (label.shape[0], label.shape[1])).numpy()
        name = f"{samples.key(item)}.png"
        Image.fromarray(prediction.astype(np.uint8)).save(tmp_path / "predictions" / name)
        Image.fromarray(label.numpy()).save(tmp_path / "truth" / name)
    protocol = SegmentationProtocol(NUM_CLASSES, "train", "train", background=0)
    scored = score_segmentation(tmp_path / "predictions", tmp_path / "truth", protocol)
    found = counts.compute(0, EACH)["random"]
    common = set(type(found).model_fields) & set(type(scored).model_fields)
    assert found.model_dump(include=common) == scored.model_dump(include=common)
    assert {"miou", "pixel_accuracy", "iou_per_class"} <= common
    assert sum(int((label == 255).sum()) for label in native) == scored.ignored.pixels


def test_every_segmenter_answers_each_batch_once(samples: EvaluatedSamples) -> None:
    asked: list[str] = []

    def segmenter(name: str, class_id: int) -> Tensor:
        asked.append(name)
        scores = torch.zeros(2, NUM_CLASSES, 16, 16)
        scores[:, class_id] = 1
        return scores

    segmenters = {
        "water": lambda batch, _latents: segmenter("water", 0)[: len(batch.label)],
        "land": lambda batch, _latents: segmenter("land", 3)[: len(batch.label)],
    }
    counts = SegmentationCounts(segmenters, NUM_CLASSES, "nearest", ALONE)
    for batch in samples.batches():
        counts.update(batch, NOTHING)
    assert asked == ["water", "land"] * 2
    found = counts.compute(None, EACH)
    labels = torch.cat([label.flatten() for b in samples.batches() for label in b.native_labels])
    counted = labels[labels != 255]
    for name, class_id in (("water", 0), ("land", 3)):
        accuracy = float((counted == class_id).double().mean())
        assert found[name].pixel_accuracy == pytest.approx(accuracy)
        assert found[name].miou_without_background is None
        low, high = found[name].pixel_accuracy_interval or (1, 0)
        assert low < found[name].pixel_accuracy < high


def test_the_oracle_of_a_lossless_autoencoder_loses_only_what_resizing_loses(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples
) -> None:
    oracle = {"oracle": oracle_segmenter(still_pipeline)}
    counts = SegmentationCounts(oracle, NUM_CLASSES, "nearest", ALONE)
    for batch in samples.batches():
        counts.update(batch, encode_batch(still_pipeline, batch, seed=0))
    found = counts.compute(3, EACH)["oracle"]
    assert found.pixel_accuracy is not None
    assert 0.9 < found.pixel_accuracy <= 1
    iou = [value for value in found.iou_per_class[:3] if value is not None]
    assert found.miou_without_background == pytest.approx(sum(iou) / len(iou))


def test_labels_without_a_class_give_null_and_no_nan() -> None:
    label = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    batch = Batch(range(1), torch.zeros(1, 4, 4, 3), label, (label[0],))
    counts = SegmentationCounts(
        {"any": lambda _batch, _latents: torch.rand(1, NUM_CLASSES, 4, 4)},
        NUM_CLASSES,
        "nearest",
        ALONE,
    )
    counts.update(batch, NOTHING)
    found = counts.compute(0, Bootstrap(range(1), seed=0))["any"]
    assert found.miou is found.miou_without_background is found.pixel_accuracy is None
    assert found.iou_per_class == [None] * NUM_CLASSES
