from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from semflow.core.files import sha256_of
from semflow.metrics import inception
from semflow.metrics.inception import FEATURE_DIMENSIONS, RELEASE, load_inception_features


class Unfilled(FeatureExtractorInceptionV3):
    """The same layers with their random first values; reads no file."""

    def load_state_dict(self, state: object) -> None: ...


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the shape of the released file, large enough that images differ."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    network = Unfilled("random", ["2048"], feature_extractor_weights_path=folder / "empty.pth")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    torch.save(network.state_dict(), folder / "random.pth")
    return folder / "random.pth"


@pytest.fixture
def network(weights: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    monkeypatch.setattr(inception, "RELEASE", replace(RELEASE, sha256=sha256_of(weights)))
    return load_inception_features(weights)


def images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator).byte()


def test_features_are_those_of_torch_fidelity_with_the_same_file(
    network: nn.Module, weights: Path
) -> None:
    other = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    )
    batch = images(2, 40, 64)
    features = network(batch)
    assert features.shape == (2, FEATURE_DIMENSIONS)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert (features[0] - features[1]).norm() > 0.01 * features[0].norm()
    assert torch.equal(features, other(batch)[0])


def test_loading_neither_draws_numbers_nor_asks_the_network(
    weights: Path, monkeypatch: pytest.MonkeyPatch, no_downloads: Callable[[], None]
) -> None:
    no_downloads()
    monkeypatch.setattr(inception, "RELEASE", replace(RELEASE, sha256=sha256_of(weights)))
    before = torch.get_rng_state()
    load_inception_features(weights)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "batch",
    [torch.zeros(1, 3, 64, 64), torch.zeros(3, 64, 64).byte(), torch.zeros(1, 1, 64, 64).byte()],
    ids=["float", "no batch", "grey"],
)
def test_images_of_another_kind_are_refused(network: nn.Module, batch: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(N, 3, H, W\)"):
        network(batch)
