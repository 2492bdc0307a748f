"""The field's distances for a checkpoint: its syntheses, scored as any other system's are."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image

from semflow.evaluation.batches import ValSamples
from semflow.evaluation.synthesizing import synthesize
from semflow.files import sha256_of
from semflow.metrics.inception import load_inception_features
from semflow.metrics.lpips_alexnet import load_lpips
from semflow.params.measuring import Protocol
from semflow.pipeline import SemFlowPipeline
from semflow.protocols import DIVERSITY_SAMPLES, PRESETS, count_samples
from semflow.scoring.features import FeatureNetwork
from semflow.scoring.results import InceptionScores
from semflow.scoring.synthesis import PerceptualNetwork, score_synthesis


def load_networks(
    params: Protocol, device: torch.device
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
    pipeline: SemFlowPipeline, tested: ValSamples, params: Protocol, seed: int
) -> InceptionScores:
    """Synthesizes what a preset asks for, as files, and scores them like `semflow score`.

    Args:
        pipeline: the checkpoint, on its device; its default number of steps is taken.
        tested: whose labels are synthesized, and whose images are the photos.
        params: the preset and the weight files.
        seed: of the first sample; sample k takes seed + k.

    Raises:
        UserError: a weight file is missing or another one, before anything is synthesized.
    """
    networks = load_networks(params, pipeline.device)
    preset = PRESETS[params.preset]
    per_mask = max(count_samples(preset, len(tested)).per_mask, DIVERSITY_SAMPLES)
    with TemporaryDirectory(prefix="semflow-") as folder:
        photos, syntheses = Path(folder, "photos"), Path(folder, "syntheses")
        photos.mkdir()
        syntheses.mkdir()
        _write_photos(tested, photos)
        for sample in range(per_mask):
            _write_syntheses(pipeline, tested, seed + sample, sample, syntheses)
        scores = score_synthesis(syntheses, photos, preset, *networks, pipeline.device)
    assert isinstance(scores, InceptionScores)
    return scores


def _write_photos(tested: ValSamples, folder: Path) -> None:
    keys = tested.keys()
    for batch in tested.batches("photos"):
        for image in batch.image.numpy():
            Image.fromarray(image).save(folder / f"{next(keys)}.png")


def _write_syntheses(
    pipeline: SemFlowPipeline, tested: ValSamples, seed: int, sample: int, folder: Path
) -> None:
    keys, start = tested.keys(), 0
    for batch in tested.batches(f"synthesize, sample {sample}"):
        items = range(start, start + len(batch.label))
        start = items.stop
        for image in synthesize(pipeline, batch.label, items, seed, None).cpu().numpy():
            Image.fromarray(image).save(folder / f"{next(keys)}.{sample}.png")
