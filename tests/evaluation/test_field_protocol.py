from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny import ALONE
from support.tiny_data import SIZE
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.evaluation import protocol
from semflow.evaluation.diversity import synthesize
from semflow.evaluation.presets import DIVERSITY_SAMPLES
from semflow.evaluation.protocol import ProtocolImages
from semflow.evaluation.samples import Chosen, EvaluatedSamples
from semflow.evaluation.schema import ProtocolParams
from semflow.evaluation.score_synthesis import PerceptualNetwork
from semflow.metrics.features import FeatureNetwork
from semflow.pipeline import SemFlowPipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder

TESTED = 5


class MeanColour(nn.Module):
    """Features that can be worked out by hand."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


class Difference(nn.Module):
    """A distance that can be, too."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


@pytest.fixture
def samples(split: Path) -> EvaluatedSamples:
    folder = ShardFolder(read_manifest(split))
    return EvaluatedSamples(Chosen(folder, tuple(range(TESTED))), None, batch_size=2, team=ALONE)


def settings(folder: Path) -> ProtocolParams:
    inception, lpips = str(folder / "inception.pth"), str(folder / "alexnet.pth")
    return ProtocolParams(preset="paper", inception=inception, lpips=lpips)


def test_missing_weights_are_told_before_anything_is_written(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"inception\.pth") as refusal:
        ProtocolImages(moving_pipeline, samples, settings(tmp_path), 0, tmp_path)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_scored_are_the_pipelines_own_syntheses_of_every_label(
    moving_pipeline: SemFlowPipeline,
    samples: EvaluatedSamples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(
        _params: ProtocolParams, _device: torch.device
    ) -> tuple[FeatureNetwork, PerceptualNetwork]:
        features = FeatureNetwork("pt_inception-2015-12-05", MeanColour(), "ab" * 32)
        return features, PerceptualNetwork(Difference(), "cd" * 32)

    monkeypatch.setattr(protocol, "load_networks", load)
    monkeypatch.setattr("semflow.evaluation.score_synthesis.SMALLEST_SIDE", 1)
    images = ProtocolImages(moving_pipeline, samples, settings(tmp_path), 5, tmp_path)
    distances = []
    for batch in samples.batches():
        made = synthesize(moving_pipeline, batch.label, batch.items, 5)
        images.update(batch, made)
        distances.append((made.float() - batch.image.float()).abs().mean(dim=(1, 2, 3)) / 127.5)
    assert len(list(tmp_path.glob("syntheses/*.png"))) == TESTED * DIVERSITY_SAMPLES
    found = images.compute()
    assert found is not None
    assert (found.protocol.preset, found.protocol.resolution) == ("paper", (SIZE, SIZE))
    assert (found.protocol.real, found.protocol.fake) == (TESTED, TESTED)
    assert found.lpips_div_samples == DIVERSITY_SAMPLES
    assert found.lpips_gt == pytest.approx(float(torch.cat(distances).mean()), rel=1e-4)
    assert found.lpips_div is not None
    assert found.lpips_div > 0
    assert list(tmp_path.rglob("*.png")) == []
