from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lpips
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from semflow.core.files import sha256_of
from semflow.metrics import lpips_alexnet
from semflow.metrics.lpips_alexnet import RELEASE, SMALLEST_SIDE, load_lpips


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """The package's own LPIPS: its heads, and a random backbone that leaves differences."""
    torch.manual_seed(0)
    network: nn.Module = lpips.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    return network


@pytest.fixture(scope="module")
def weights(reference: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That backbone in the names of the released file, with a layer that LPIPS does not use."""
    slices = reference.net.state_dict()  # type: ignore[union-attr,operator]
    state = {f"features.{name.split('.', 1)[1]}": value for name, value in slices.items()}
    assert sorted(state) == sorted(
        f"features.{layer}.{kind}" for layer in (0, 3, 6, 8, 10) for kind in ("weight", "bias")
    )
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture
def network(weights: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    monkeypatch.setattr(lpips_alexnet, "RELEASE", replace(RELEASE, sha256=sha256_of(weights)))
    return load_lpips(weights)


def images(count: int, side: int, seed: int) -> Tensor:
    return 2 * torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) - 1


def test_distances_are_those_of_the_package_with_the_same_backbone(
    network: nn.Module, reference: nn.Module
) -> None:
    a, b = images(3, 64, seed=1), images(3, 64, seed=2)
    distances = network(a, b)
    assert distances.shape == (3,)
    assert (distances > 0.01).all()
    torch.testing.assert_close(distances, reference(a, b).flatten())


def test_an_image_is_at_no_distance_from_itself(network: nn.Module) -> None:
    a = images(2, SMALLEST_SIDE, seed=3)
    assert network(a, a).tolist() == [0, 0]


def test_loading_neither_draws_numbers_nor_asks_the_network(
    weights: Path, monkeypatch: pytest.MonkeyPatch, no_downloads: Callable[[], None]
) -> None:
    no_downloads()
    monkeypatch.setattr(lpips_alexnet, "RELEASE", replace(RELEASE, sha256=sha256_of(weights)))
    before = torch.get_rng_state()
    load_lpips(weights)
    assert torch.equal(before, torch.get_rng_state())


def test_torchmetrics_lpips_takes_no_file_and_asks_the_network(
    no_downloads: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    no_downloads()
    with pytest.raises(AssertionError, match="asked the network"):
        LearnedPerceptualImagePatchSimilarity(net_type="alex")


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        (torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 64, 64), "give two equal"),
        (torch.zeros(1, 3, 64, 30), torch.zeros(1, 3, 64, 30), "give sides of 31 or more"),
        (torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64).byte(), "images are torch.uint8"),
        (torch.full((1, 3, 64, 64), 255.0), torch.zeros(1, 3, 64, 64), "images leave -1..1"),
    ],
)
def test_images_of_another_kind_are_refused(
    network: nn.Module, a: Tensor, b: Tensor, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        network(a, b)
