"""The field's distances for a checkpoint: its syntheses, scored as any other system's are."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from semflow.core.files import sha256_of
from semflow.evaluation.presets import DIVERSITY_SAMPLES, PRESETS, count_samples
from semflow.evaluation.samples import ValSamples
from semflow.evaluation.schema import ProtocolParams
from semflow.evaluation.score_results import InceptionScores
from semflow.evaluation.score_synthesis import PerceptualNetwork, score_synthesis
from semflow.evaluation.synthesis import synthesize
from semflow.metrics.features import FeatureNetwork
from semflow.metrics.inception import load_inception_features
from semflow.metrics.lpips_alexnet import load_lpips
from semflow.pipeline import SemFlowPipeline


def load_networks(
    params: ProtocolParams, device: torch.device
) -> tuple[FeatureNetwork, PerceptualNetwork]:
    """The released networks that FID, KID and LPIPS are defined by.

    Raises:
        UserError: a weight file is missing or another one: where to get it.
    """
    inception, alexnet = Path(params.inception), Path(params.lpips)
    features = load_inception_features(inception).to(device)
    perceptual = load_lpips(alexnet).to(device)
    return (
        FeatureNetwork("pt_inception-2015-12-05", features, sha256_of(inception)),
        PerceptualNetwork(perceptual, sha256_of(alexnet)),
    )


def measure_protocol(
    pipeline: SemFlowPipeline, tested: ValSamples, params: ProtocolParams, seed: int, folder: Path
) -> InceptionScores | None:
    """Synthesizes what a preset asks for, as files, and scores them like `semflow score`.

    All processes synthesize; the first one scores, and alone knows the scores.

    Args:
        pipeline: the checkpoint, on its device; its default number of steps is taken.
        tested: whose labels are synthesized, and whose images are the photos.
        params: the preset and the weight files.
        seed: of the first sample; sample k takes seed + k.
        folder: receives the files, some gigabytes where samples are many; all processes share it.

    Raises:
        UserError: a weight file is missing or another one, before anything is synthesized.
    """
    networks = load_networks(params, pipeline.device)
    preset = PRESETS[params.preset]
    per_mask = max(count_samples(preset, len(tested)).per_mask, DIVERSITY_SAMPLES)
    photos, syntheses = folder / "photos", folder / "syntheses"
    for part in (photos, syntheses):
        part.mkdir(parents=True, exist_ok=True)
    _write_photos(tested, photos)
    for sample in range(per_mask):
        _write_syntheses(pipeline, tested, seed + sample, sample, syntheses)
    tested.team.wait()
    if not tested.team.is_first:
        return None
    scores = score_synthesis(syntheses, photos, preset, *networks, pipeline.device)
    assert isinstance(scores, InceptionScores)
    return scores


def _write_photos(tested: ValSamples, folder: Path) -> None:
    for batch in tested.batches("photos"):
        for item, image in zip(batch.items, batch.image.numpy(), strict=True):
            Image.fromarray(image).save(folder / f"{tested.key(item)}.png")


def _write_syntheses(
    pipeline: SemFlowPipeline, tested: ValSamples, seed: int, sample: int, folder: Path
) -> None:
    for batch in tested.batches(f"synthesize, sample {sample}"):
        made = synthesize(pipeline, batch.label, batch.items, seed, None).cpu().numpy()
        for item, image in zip(batch.items, made, strict=True):
            Image.fromarray(image).save(folder / f"{tested.key(item)}.{sample}.png")
