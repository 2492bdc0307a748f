"""Segmenters over a split: the flow, its baselines and the oracle, by one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semflow.evaluation.counts import Counts, miou_by_image
from semflow.evaluation.details import SegmentationDetails
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Segmentation, SegmentationFigures
from semflow.evaluation.samplers import Cost, Sampler
from semflow.evaluation.samples import Batch, Latents
from semflow.evaluation.system import EvaluatedSystem

Segmenter = Callable[[Batch, Latents], Tensor]
"""A batch -> scores (N, K, H, W) at the size of training; the highest one's class is predicted."""

Upsampling = Callable[[Tensor, tuple[int, int]], Tensor]
"""Scores (K, H, W) -> label ids (H', W') int64."""

ORACLE = "oracle"
"""Name of the segmenter that knows the label: the ceiling that the size of training, the
autoencoder and the palette allow."""


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


UPSAMPLING: dict[str, Upsampling] = {"nearest": nearest_labels, "bilinear": bilinear_scores}
"""The functions by their names in params.yaml."""


def native_predictions(scores: Tensor, labels: Sequence[Tensor], upsample: Upsampling) -> Tensor:
    """Scores of a batch -> the class of every pixel of its native labels.

    Args:
        scores: (N, K, H, W) at the size of training.
        labels: N labels (H', W'), each of its own size.
        upsample: One of UPSAMPLING.

    Returns:
        (P,) int64, the pixels of all labels one after another.
    """
    answers = zip(scores, labels, strict=True)
    return torch.cat(
        [upsample(each, (label.shape[0], label.shape[1])).flatten() for each, label in answers]
    )


class SegmentationCounts:
    """Every pixel of the native labels, counted in one confusion matrix for each segmenter.

    Args:
        segmenters: By name.
        num_classes: K.
        upsampling: How scores are brought to the native size; a key of UPSAMPLING.
        team: The processes that share the batches.
    """

    def __init__(
        self,
        segmenters: Mapping[str, Segmenter],
        num_classes: int,
        upsampling: str,
        team: Team,
    ) -> None:
        self._segmenters, self._team = segmenters, team
        self._upsample = UPSAMPLING[upsampling]
        self._found = {name: Counts(num_classes, team) for name in segmenters}

    def update(self, batch: Batch, latents: Latents) -> None:
        """Segments and counts a batch."""
        labels = batch.native_labels
        truth = torch.cat([label.flatten() for label in labels])
        sizes = torch.tensor([label.numel() for label in labels], device=truth.device)
        image = torch.arange(len(labels), device=truth.device).repeat_interleave(sizes)
        for name, segment in self._segmenters.items():
            predictions = native_predictions(segment(batch, latents), labels, self._upsample)
            self._found[name].update(predictions, truth, image, len(labels))

    def compute(
        self, background: int | None, bootstrap: Bootstrap
    ) -> dict[str, SegmentationFigures]:
        """The figures of each segmenter, from the counts of all processes.

        Args:
            background: The class that some protocols leave out of the mean, if there is one.
            bootstrap: Of the tested samples.
        """
        return {
            name: figures_of(found, background, bootstrap) for name, found in self._found.items()
        }

    def counts_of(self, name: str) -> Counts:
        """All that was counted of one segmenter."""
        return self._found[name]


def figures_of(found: Counts, background: int | None, bootstrap: Bootstrap) -> SegmentationFigures:
    """What the counts of all processes say."""
    counts = found.matrix
    miou_interval, accuracy_interval = found.intervals(bootstrap)
    return SegmentationFigures(
        miou=counts.miou,
        miou_interval=miou_interval,
        miou_without_background=None if background is None else counts.miou_without(background),
        pixel_accuracy=counts.pixel_accuracy,
        pixel_accuracy_interval=accuracy_interval,
        iou_per_class=counts.iou_per_class.tolist(),
    )


def details_of(found: Counts, keys: Sequence[str], steps: int) -> SegmentationDetails:
    """What the counts of all processes say, image by image too; all of them ask together.

    Args:
        found: Of the checkpoint with its default sampler.
        keys: Of the tested samples, in order.
        steps: Of that sampler.
    """
    return SegmentationDetails(
        steps=steps,
        confusion=found.matrix.counts.tolist(),
        keys=list(keys),
        miou_by_image=miou_by_image(found.areas()).tolist(),
    )


class FlowSegmenter:
    """The checkpoint with one sampler: a Segmenter that counts its network evaluations.

    Args:
        pipeline: The checkpoint.
        sampler: How it is solved.
        team: The processes that share the batches.
        seed: Item i of a formulation that starts from noise draws from (seed, i).
    """

    def __init__(self, pipeline: EvaluatedSystem, sampler: Sampler, team: Team, seed: int) -> None:
        self._pipeline, self._sampler, self._seed = pipeline, sampler, seed
        self.cost = Cost(pipeline, sampler, team)

    def __call__(self, batch: Batch, latents: Latents) -> Tensor:
        """Scores (N, K, H, W) of a batch."""
        how = self._sampler
        generators = self._pipeline.generators(batch.items, self._seed)
        with self.cost:
            x_1 = self._pipeline.to_mask(latents.x_0, how.num_steps, how.solver, generators)
        return self._pipeline.class_scores(x_1)


def oracle_segmenter(pipeline: EvaluatedSystem) -> Segmenter:
    """The true pseudo-masks, encoded and decoded."""
    return lambda batch, _latents: pipeline.class_scores(pipeline.encode_label(batch.label, None))


def segmentation_results(
    pipeline: EvaluatedSystem,
    figures: Mapping[str, SegmentationFigures],
    samplers: Iterable[Sampler],
    samples: int,
) -> Segmentation:
    """The flow as a segmenter, with the default number of steps and with others.

    Args:
        pipeline: The checkpoint.
        figures: Of the oracle, and of the flow by the samplers' keys.
        samplers: The default one among them.
        samples: How many were segmented.
    """
    by_steps = {one.num_steps: figures[one.key] for one in samplers if one.num_steps is not None}
    default = by_steps[pipeline.config.segment_steps]
    return Segmentation(
        samples=samples,
        steps=pipeline.config.segment_steps,
        miou=default.miou,
        miou_interval=default.miou_interval,
        miou_without_background=default.miou_without_background,
        pixel_accuracy=default.pixel_accuracy,
        pixel_accuracy_interval=default.pixel_accuracy_interval,
        oracle_miou=figures[ORACLE].miou,
        oracle_pixel_accuracy=figures[ORACLE].pixel_accuracy,
        by_steps=by_steps,
    )
