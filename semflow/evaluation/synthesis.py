"""Synthesis over val samples: distances to real images, round trips and diversity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from semflow.evaluation.results import Synthesis, SynthesisFigures
from semflow.evaluation.samples import Chosen, ValSamples
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.score_results import InceptionScores
from semflow.evaluation.segmentation import Score
from semflow.metrics.confusion import ConfusionMatrix
from semflow.metrics.features import FeatureSet
from semflow.networks.encoding import to_unit_range
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.noise import draw_noise


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
    unet: Score


def measure_synthesis(
    pipeline: SemFlowPipeline,
    judges: Judges,
    chosen: Chosen,
    params: EvaluateParams,
    protocol: InceptionScores | None,
) -> Synthesis:
    """The flow by numbers of steps, the real/real floor and the diversity of its syntheses.

    Args:
        pipeline: the checkpoint, on its device.
        judges: what syntheses are judged by.
        chosen: whose labels are synthesized, and what they are compared with.
        params: the numbers of steps, seeds and labels.
        protocol: the field's distances, where they were asked for.
    """
    tested = chosen.tested
    floor = [real_features(judges, samples) for samples in chosen.floor]
    # The second half of the floor is the reference where references are others.
    same = chosen.reference.positions == chosen.floor[1].positions
    real = floor[1] if same else real_features(judges, chosen.reference)
    by_steps = {
        num_steps: _synthesizing(pipeline, judges, tested, real, num_steps, params.seed)
        for num_steps in params.synthesis_steps
    }
    floor_frechet, floor_kernel = floor[0].distances(floor[1])
    height, width = pipeline.config.image_size
    return Synthesis(
        samples=len(tested),
        steps=pipeline.config.synthesize_steps,
        reference_samples=len(chosen.reference),
        floor_samples=len(chosen.floor[0]),
        resolution=(height, width),
        floor_fd_mobilenetv2=floor_frechet,
        floor_kd_mobilenetv2=floor_kernel,
        diversity_st_lpips=_diversity(pipeline, judges, tested, params),
        roundtrip_miou=by_steps[pipeline.config.synthesize_steps].roundtrip_miou_unet,
        protocol=protocol,
        by_steps=by_steps,
    )


def real_features(judges: Judges, samples: ValSamples) -> FeatureSet:
    """Features of the samples' own images."""
    found = [
        judges.features(batch.image.permute(0, 3, 1, 2))
        for batch in samples.batches("real features")
    ]
    return FeatureSet.from_vectors(torch.cat(samples.team.in_order(found)))


def _synthesizing(
    pipeline: SemFlowPipeline,
    judges: Judges,
    tested: ValSamples,
    real: FeatureSet,
    num_steps: int,
    seed: int,
) -> SynthesisFigures:
    features, distances = [], []
    by_unet = ConfusionMatrix(pipeline.palette.num_classes)
    by_itself = ConfusionMatrix(pipeline.palette.num_classes)
    for batch in tested.batches(f"synthesize, {num_steps} steps"):
        made = synthesize(pipeline, batch.label, batch.items, seed, num_steps)
        features.append(judges.features(made.permute(0, 3, 1, 2).cpu()))
        distances.append(judges.perceptual(to_unit_range(made.cpu()), to_unit_range(batch.image)))
        by_unet.update(judges.unet(made).argmax(dim=1).cpu(), batch.label)
        by_itself.update(pipeline.segment_batch(made).cpu(), batch.label)
    team = tested.team
    vectors = torch.cat(team.in_order(features))
    frechet, kernel = FeatureSet.from_vectors(vectors).distances(real)
    return SynthesisFigures(
        fd_mobilenetv2=frechet,
        kd_mobilenetv2=kernel,
        st_lpips_to_truth=float(torch.cat(team.in_order(distances)).mean()),
        roundtrip_miou_unet=team.total(by_unet).miou,
        roundtrip_miou_semflow=team.total(by_itself).miou,
    )


def _diversity(
    pipeline: SemFlowPipeline, judges: Judges, tested: ValSamples, params: EvaluateParams
) -> float:
    """Mean ST-LPIPS between neighbouring samples of one label: 0 where a seed changes nothing."""
    distances = []
    for batch in tested.thinned(params.diversity_labels).batches("diversity"):
        samples = [
            to_unit_range(synthesize(pipeline, batch.label, batch.items, seed, None).cpu())
            for seed in range(params.diversity_samples)
        ]
        pairs = [judges.perceptual(a, b) for a, b in pairwise(samples)]
        distances.append(torch.cat(pairs))
    return float(torch.cat(tested.team.in_order(distances)).mean())


def synthesize(
    pipeline: SemFlowPipeline, label: Tensor, items: range, seed: int, num_steps: int | None
) -> Tensor:
    """Labels (N, H, W) uint8 -> images (N, H, W, 3) uint8.

    Args:
        pipeline: the checkpoint.
        label: ids at the size of training.
        items: numbers of the samples, which their noise follows from.
        seed: of the noise.
        num_steps: solver steps; the checkpoint's default where None.
    """
    masks = torch.from_numpy(pipeline.palette.colorize(label.numpy())).to(pipeline.device)
    noise = draw_noise(items, label.shape[1:], seed, pipeline.palette.grain).to(pipeline.device)
    return pipeline.synthesize_batch(masks, noise, num_steps)
