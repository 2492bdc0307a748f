"""What is measured in an evaluation's one pass, made ready for a checkpoint and its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from semflow.evaluation.diagnosis import DiagnosisMeasure
from semflow.evaluation.judges import Judges
from semflow.evaluation.results import Precision
from semflow.evaluation.samplers import Sampler, samplers_of
from semflow.evaluation.samples import EvaluatedSamples
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.segmentation import (
    ORACLE,
    FlowSegmenter,
    SegmentationCounts,
    Segmenter,
    oracle_segmenter,
)
from semflow.evaluation.synthesis import SynthesisMeasure, Synthesizer
from semflow.evaluation.system import EvaluatedSystem
from semflow.formulations.protocol import PathFormulation
from semflow.pipeline import SemFlowPipeline


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


def segmentation_counts(
    evaluation: Evaluation, params: EvaluateParams, flow: Mapping[str, FlowSegmenter]
) -> SegmentationCounts:
    """What counts the pixels of the flow, of the oracle where it segments, and of the baselines.

    Args:
        evaluation: What is measured.
        params: How scores are brought to the labels' own size.
        flow: The flow's segmenters by the samplers' keys.
    """
    pipeline = evaluation.pipeline
    oracle = {ORACLE: oracle_segmenter(pipeline)} if pipeline.formulation.segments else {}
    return SegmentationCounts(
        {**flow, **oracle, **evaluation.baselines},
        len(pipeline.config.class_names),
        params.upsampling,
        evaluation.samples.team,
    )


def synthesis_measure(evaluation: Evaluation, params: EvaluateParams) -> SynthesisMeasure | None:
    """What the syntheses of a checkpoint are measured by; None where it segments alone."""
    pipeline, samples = evaluation.pipeline, evaluation.samples
    if not pipeline.formulation.synthesizes:
        return None
    return SynthesisMeasure(
        pipeline, evaluation.judges, params, len(samples), samples.team, evaluation.synthesizers
    )


def diagnosis_measure(evaluation: Evaluation, params: EvaluateParams) -> DiagnosisMeasure | None:
    """What looks at a flow's states on the way; None where they lie elsewhere."""
    pipeline, samples = evaluation.pipeline, evaluation.samples
    if isinstance(pipeline, SemFlowPipeline) and isinstance(pipeline.formulation, PathFormulation):
        return DiagnosisMeasure(pipeline, params, len(samples), samples.team)
    return None


def flow_segmenters(evaluation: Evaluation, params: EvaluateParams) -> dict[str, FlowSegmenter]:
    """The flow with every sampler that is measured, by its key; none where it synthesizes alone."""
    pipeline, team = evaluation.pipeline, evaluation.samples.team
    if not pipeline.formulation.segments:
        return {}
    samplers = segmentation_samplers(pipeline, params)
    return {one.key: FlowSegmenter(pipeline, one, team, params.seed) for one in samplers}


def segmentation_samplers(pipeline: EvaluatedSystem, params: EvaluateParams) -> list[Sampler]:
    """What params.yaml asks for, and the checkpoint's own steps; none where it does not segment."""
    if not pipeline.formulation.segments:
        return []
    default = pipeline.config.segment_steps
    return samplers_of(pipeline, params.segmentation_steps, default, params.adaptive)
