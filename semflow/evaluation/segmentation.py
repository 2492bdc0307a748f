"""Segmenters over val samples: the flow, its baselines and the oracle, by one protocol."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semflow.evaluation.results import Segmentation, SegmentationFigures
from semflow.evaluation.samples import Batch, ValSamples
from semflow.evaluation.schema import EvaluateParams
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pipeline import SemFlowPipeline

Score = Callable[[Tensor], Tensor]
"""Pixels (N, H, W, 3) uint8 -> scores (N, K, H, W); the class with the highest is predicted."""

Answer = Callable[[Batch], Tensor]
"""The scores of a batch, at the size of training."""


def nearest_labels(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (K, H, W) -> label ids (H', W') int64; each pixel takes the nearest one's class."""
    label = scores.argmax(dim=0)
    return F.interpolate(label[None, None].float(), size, mode="nearest-exact")[0, 0].long()


def bilinear_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores (K, H, W) -> label ids (H', W') int64 by the scores interpolated between pixels.

    For SemFlow that is to interpolate the decoded colours: up to a term that all classes share,
    the squared distance to an anchor is linear in the colour.
    """
    return F.interpolate(scores[None], size, mode="bilinear", align_corners=False)[0].argmax(dim=0)


UPSAMPLING = {"nearest": nearest_labels, "bilinear": bilinear_scores}
"""The functions by their names in params.yaml."""


def count_pixels(
    answer: Answer, tested: ValSamples, params: EvaluateParams, num_classes: int, purpose: str
) -> ConfusionMatrix:
    """Counts every pixel of the native labels in one matrix.

    Args:
        answer: of the segmenter.
        tested: what is segmented.
        params: how its answers are brought to the native size.
        num_classes: K.
        purpose: for the progress bar.
    """
    upsample = UPSAMPLING[params.upsampling]
    confusion = ConfusionMatrix(num_classes)
    for batch in tested.batches(purpose):
        for scores, label in zip(answer(batch), batch.native_labels, strict=True):
            prediction = upsample(scores, (label.shape[0], label.shape[1])).cpu()
            confusion.update(prediction[None], label[None])
    return tested.team.total(confusion)


def segmenting(confusion: ConfusionMatrix, background: int | None) -> SegmentationFigures:
    """What a confusion matrix says."""
    return SegmentationFigures(
        miou=confusion.miou,
        miou_without_background=None if background is None else confusion.miou_without(background),
        pixel_accuracy=confusion.pixel_accuracy,
        iou_per_class=[None if torch.isnan(v) else float(v) for v in confusion.iou_per_class],
    )


def measure_segmentation(
    pipeline: SemFlowPipeline, tested: ValSamples, params: EvaluateParams, background: int | None
) -> Segmentation:
    """The flow by numbers of steps, and the oracle: true pseudo-masks, encoded and decoded.

    The oracle is the ceiling that the size of training, the autoencoder and the palette allow.

    Args:
        pipeline: the checkpoint, on its device.
        tested: what is segmented.
        params: the numbers of steps.
        background: the class that some protocols leave out of the mean, if there is one.
    """
    num_classes = pipeline.palette.num_classes

    def measured(num_steps: int) -> SegmentationFigures:
        """With one number of steps."""

        def answer(batch: Batch) -> Tensor:
            """The flow's own."""
            return pipeline.score_batch(batch.image.to(pipeline.device), num_steps)

        purpose = f"segment, {num_steps} steps"
        return segmenting(count_pixels(answer, tested, params, num_classes, purpose), background)

    def answer_true_mask(batch: Batch) -> Tensor:
        """What is left of the true label."""
        masks = torch.from_numpy(pipeline.palette.colorize(batch.label.numpy()))
        return pipeline.score_pseudo_masks(masks.to(pipeline.device))

    oracle = count_pixels(answer_true_mask, tested, params, num_classes, "oracle")
    by_steps = {num_steps: measured(num_steps) for num_steps in params.segmentation_steps}
    default = by_steps[pipeline.config.segment_steps]
    return Segmentation(
        samples=len(tested),
        steps=pipeline.config.segment_steps,
        miou=default.miou,
        miou_without_background=default.miou_without_background,
        pixel_accuracy=default.pixel_accuracy,
        oracle_miou=oracle.miou,
        oracle_pixel_accuracy=oracle.pixel_accuracy,
        by_steps=by_steps,
    )
