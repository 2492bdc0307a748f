from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semflow.metrics.st_lpips import SMALLEST_SIDE, StLpips, load_st_lpips

FILE = "alex_shift_tolerant.pth"


@pytest.fixture(scope="module")
def distance(weights_file: Callable[[str], Path]) -> StLpips:
    return load_st_lpips(weights_file(FILE))


@pytest.fixture(scope="module")
def waves() -> tuple[Tensor, Tensor]:
    side = torch.arange(64.0)
    y, x = side.view(1, 64, 1), side.view(1, 1, 64)
    k = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    a = torch.sin(0.2 * y + 0.1 * k * x)
    b = torch.cos(0.15 * k * y - 0.1 * x)
    return a[None], b[None]


def test_distances_of_two_wave_images_are_the_golden_values(
    distance: StLpips, waves: tuple[Tensor, Tensor]
) -> None:
    a, b = waves
    found = distance(torch.cat([a, a]), torch.cat([b, 0.9 * a]))
    torch.testing.assert_close(found, torch.tensor([0.4023480, 0.0026357]), rtol=0, atol=1e-6)


def test_features_that_are_kept_give_the_same_distances(
    distance: StLpips, waves: tuple[Tensor, Tensor]
) -> None:
    a, b = waves
    kept = distance.features(a)
    for other in (a, b, 0.9 * a):
        found = distance.distance(distance.features(other), kept)
        torch.testing.assert_close(found, distance(other, a))


def test_the_distance_is_symmetric_and_zero_on_itself(
    distance: StLpips, waves: tuple[Tensor, Tensor]
) -> None:
    a, b = waves
    torch.testing.assert_close(distance(a, b), distance(b, a))
    assert distance(a, a).item() == 0


def test_a_shift_by_one_pixel_is_nearer_than_noise_of_the_same_energy(
    distance: StLpips, waves: tuple[Tensor, Tensor]
) -> None:
    a = 0.5 * waves[0]
    shifted = a.roll(1, dims=-1)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    noise *= (shifted - a).norm() / noise.norm()
    assert distance(a, shifted) < 0.5 * distance(a, (a + noise).clamp(-1, 1))


def test_gradients_reach_the_images_and_stay_finite(
    distance: StLpips, waves: tuple[Tensor, Tensor]
) -> None:
    flat = torch.zeros(1, 3, 64, 64, requires_grad=True)
    distance(flat, waves[1]).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()
    assert flat.grad.any()
    assert all(not parameter.requires_grad for parameter in distance.parameters())


def test_the_smallest_side_is_the_smallest_that_works(distance: StLpips) -> None:
    side = SMALLEST_SIDE
    images = torch.rand(2, 2, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert (distance(*images) > 0).all()
    with pytest.raises(ValueError, match=f"give sides of {side} or more"):
        distance(images[0, ..., 1:], images[1, ..., 1:])


def test_images_of_another_kind_are_refused(distance: StLpips) -> None:
    good = torch.zeros(1, 3, 32, 32)
    with pytest.raises(ValueError, match="give two equal"):
        distance(good, good[:, :1])
    with pytest.raises(ValueError, match=r"images are torch\.uint8"):
        distance(good, good.byte())
    with pytest.raises(ValueError, match=r"leave -1\.\.1"):
        distance(good + 255, good)
    with pytest.raises(ValueError, match="hold nan"):
        distance(good, good / 0)
