"""The field's distances for a checkpoint: its syntheses, scored as any other system's are."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from semflow.core.files import sha256_of
from semflow.evaluation.diversity import synthesize
from semflow.evaluation.presets import DIVERSITY_SAMPLES, PRESETS, count_samples
from semflow.evaluation.results import InceptionScores
from semflow.evaluation.samples import Batch, EvaluatedSamples
from semflow.evaluation.schema import ProtocolParams
from semflow.evaluation.score_synthesis import PerceptualNetwork, score_synthesis
from semflow.evaluation.system import EvaluatedSystem
from semflow.metrics.features import FeatureNetwork
from semflow.metrics.inception import load_inception_features
from semflow.metrics.lpips_alexnet import load_lpips


def load_networks(
    params: ProtocolParams, device: torch.device
) -> tuple[FeatureNetwork, PerceptualNetwork]:
    """The released networks that FID, KID and LPIPS are defined by.

    Raises:
        UserError: A weight file is missing or another one: where to get it.
    """
    inception, alexnet = Path(params.inception), Path(params.lpips)
    features = load_inception_features(inception).to(device)
    perceptual = load_lpips(alexnet).to(device)
    return (
        FeatureNetwork("pt_inception-2015-12-05", features, sha256_of(inception)),
        PerceptualNetwork(perceptual, sha256_of(alexnet)),
    )


class ProtocolImages:
    """What a preset asks for, as files, to be scored like `semflow score` does it.

    All processes write; the first one scores, and alone knows the scores.

    Args:
        pipeline: The checkpoint, on its device; its default number of steps is taken.
        samples: Whose labels are synthesized, and whose images are the photos.
        params: The preset and the weight files.
        seed: Of the first sample; sample k takes seed + k.
        folder: Receives the files, some gigabytes where samples are many; all processes share it.

    Raises:
        UserError: A weight file is missing or another one.
    """

    def __init__(
        self,
        pipeline: EvaluatedSystem,
        samples: EvaluatedSamples,
        params: ProtocolParams,
        seed: int,
        folder: Path,
    ) -> None:
        self._networks = load_networks(params, pipeline.device)
        self._pipeline, self._samples, self._seed = pipeline, samples, seed
        self._preset = PRESETS[params.preset]
        self._per_mask = max(count_samples(self._preset, len(samples)).per_mask, DIVERSITY_SAMPLES)
        self._photos, self._syntheses = folder / "photos", folder / "syntheses"
        for part in (self._photos, self._syntheses):
            part.mkdir(parents=True, exist_ok=True)

    def update(self, batch: Batch, made: Tensor) -> None:
        """Writes a batch's images and all of its samples.

        Args:
            batch: Whose labels are synthesized.
            made: (N, H, W, 3) uint8, the first sample of each label.
        """
        keys = [self._samples.key(item) for item in batch.items]
        _write(self._photos, keys, batch.image)
        _write(self._syntheses, (f"{key}.0" for key in keys), made)
        for number in range(1, self._per_mask):
            more = synthesize(self._pipeline, batch.label, batch.items, self._seed + number)
            _write(self._syntheses, (f"{key}.{number}" for key in keys), more)

    def compute(self) -> InceptionScores | None:
        """The scores, and none of the files is left; None on all processes but the first."""
        team = self._samples.team
        team.wait()
        if not team.is_first:
            return None
        scores = score_synthesis(
            self._syntheses, self._photos, self._preset, *self._networks, self._pipeline.device
        )
        for part in (self._photos, self._syntheses):
            shutil.rmtree(part)
        assert isinstance(scores, InceptionScores)
        return scores


def _write(folder: Path, names: Iterable[str], images: Tensor) -> None:
    for name, image in zip(names, images.cpu().numpy(), strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
