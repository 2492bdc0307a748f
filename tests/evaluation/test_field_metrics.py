from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny import ALONE, TinyDataset
from support.tiny_data import SIZE, VAL_SAMPLES
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.evaluation import field_metrics as protocol
from semflow.evaluation.field_metrics import measure_protocol
from semflow.evaluation.presets import DIVERSITY_SAMPLES
from semflow.evaluation.samples import ValSamples
from semflow.evaluation.schema import ProtocolParams
from semflow.evaluation.score_synthesis import PerceptualNetwork
from semflow.metrics.features import FeatureNetwork
from semflow.pipeline import SemFlowPipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder


class MeanColour(nn.Module):
    """Features that can be worked out by hand."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


class Difference(nn.Module):
    """A distance that can be, too."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


@pytest.fixture
def tested(dataset: TinyDataset) -> ValSamples:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    return ValSamples(folder, tuple(range(VAL_SAMPLES)), batch_size=2, team=ALONE)


def settings(folder: Path) -> ProtocolParams:
    inception, lpips = str(folder / "inception.pth"), str(folder / "alexnet.pth")
    return ProtocolParams(preset="paper", inception=inception, lpips=lpips)


def test_missing_weights_are_told_before_anything_is_synthesized(
    tested: ValSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "synthesize", None)
    pipeline = SemFlowPipeline.__new__(SemFlowPipeline)
    monkeypatch.setattr(SemFlowPipeline, "device", torch.device("cpu"))
    with pytest.raises(UserError, match=r"inception\.pth") as refusal:
        measure_protocol(pipeline, tested, settings(tmp_path), seed=0, folder=tmp_path)
    assert "\n" not in str(refusal.value)


def test_what_is_scored_are_the_pipelines_own_syntheses_of_every_label(
    moving_pipeline: SemFlowPipeline,
    tested: ValSamples,
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
    found = measure_protocol(moving_pipeline, tested, settings(tmp_path), 5, tmp_path)
    assert found is not None
    assert (found.protocol.preset, found.protocol.resolution) == ("paper", (SIZE, SIZE))
    assert (found.protocol.real, found.protocol.fake) == (VAL_SAMPLES, VAL_SAMPLES)
    assert found.lpips_div_samples == DIVERSITY_SAMPLES
    distances = []
    for batch in tested.batches("test"):
        made = protocol.synthesize(moving_pipeline, batch.label, batch.items, 5, None)
        distances.append((made.float() - batch.image.float()).abs().mean(dim=(1, 2, 3)) / 127.5)
    assert found.lpips_gt == pytest.approx(float(torch.cat(distances).mean()), rel=1e-4)
