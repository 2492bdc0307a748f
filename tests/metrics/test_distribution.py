from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

from semflow.metrics import distribution
from semflow.metrics.distribution import distances, frechet_distance, kernel_distance

DIMENSIONS = 6


class PassThrough(nn.Module):
    """A feature network for torchmetrics that returns what it is given."""

    num_features = DIMENSIONS

    def forward(self, features: Tensor) -> Tensor:
        return features


def normal(count: int, dimensions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator)
    return torch.randn(count, dimensions, generator=generator) @ mixing + seed % 3


def frechet_by_torchmetrics(x: Tensor, y: Tensor) -> float:
    network = PassThrough()
    network.num_features = x.shape[1]
    other = FrechetInceptionDistance(feature=network).set_dtype(torch.float64)
    other.update(x, real=True)
    other.update(y, real=False)
    return float(other.compute())


seeds = st.integers(0, 2**31)
counts = st.integers(2, 12)


def test_frechet_distance_in_one_dimension_is_that_worked_by_hand() -> None:
    # Means 2 and 8, deviations 1 and 3: (2 - 8)^2 + (1 - 3)^2.
    x = torch.tensor([[1.0], [2.0], [3.0]])
    y = torch.tensor([[5.0], [8.0], [11.0]])
    assert frechet_distance(x, y) == pytest.approx(40)


def test_kernel_distance_of_two_pairs_is_that_worked_by_hand() -> None:
    # k(1, 3) = 4^3, k(0, 2) = 1, across k(1, 0) + k(1, 2) + k(3, 0) + k(3, 2) = 1 + 27 + 1 + 343.
    x = torch.tensor([[1.0], [3.0]])
    y = torch.tensor([[0.0], [2.0]])
    assert kernel_distance(x, y) == pytest.approx(64 + 1 - 2 * (1 + 27 + 1 + 343) / 4)


@pytest.mark.parametrize("counts", [(40, 30), (4, 5)], ids=["full rank", "fewer than dimensions"])
def test_frechet_distance_equals_that_of_torchmetrics(counts: tuple[int, int]) -> None:
    x, y = normal(counts[0], DIMENSIONS, seed=1), normal(counts[1], DIMENSIONS, seed=2)
    assert frechet_distance(x, y) == pytest.approx(frechet_by_torchmetrics(x, y), rel=1e-5)


def test_kernel_distance_equals_that_of_torchmetrics_on_one_full_subset() -> None:
    x, y = normal(30, DIMENSIONS, seed=1), normal(30, DIMENSIONS, seed=2)
    other = KernelInceptionDistance(feature=PassThrough(), subsets=1, subset_size=30)
    other.update(x, real=True)
    other.update(y, real=False)
    assert kernel_distance(x, y) == pytest.approx(float(other.compute()[0]), rel=1e-4)


def test_torchmetrics_kernel_distance_leaves_out_what_the_smaller_set_has_no_room_for() -> None:
    x, y = normal(30, DIMENSIONS, seed=1), normal(20, DIMENSIONS, seed=2)
    other = KernelInceptionDistance(feature=PassThrough(), subsets=1, subset_size=30)
    other.update(x, real=True)
    other.update(y, real=False)
    with pytest.raises(ValueError, match="subset_size"):
        other.compute()
    # Its formula takes the first set's size for the second's; worked by hand, with sizes 2 and 3:
    # within x 4^3, within y (2 * (1 + 1 + 5^3)) / 6, across (1 + 3^3 + 1 + 1 + 7^3 + 1) / 6.
    one, two = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [2.0], [0.0]])
    across = 2 * (1 + 27 + 1 + 1 + 343 + 1) / 6
    expected = 64 + 2 * (1 + 1 + 1) / 6 - across
    assert kernel_distance(one, two) == pytest.approx(expected)
    assert float(poly_mmd(one, two)) != pytest.approx(expected, rel=0.1)


def test_kernel_distance_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = normal(11, DIMENSIONS, seed=1), normal(8, DIMENSIONS, seed=2)
    whole = kernel_distance(x, y)
    monkeypatch.setattr(distribution, "_BLOCK_ROWS", 3)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_kernel_distance_of_two_halves_of_one_set_is_zero_on_average() -> None:
    values = [
        kernel_distance(*torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(seed)))
        for seed in range(300)
    ]
    spread = torch.tensor(values)
    assert min(values) < 0 < max(values)
    assert abs(float(spread.mean())) < 3 * float(spread.std()) / len(values) ** 0.5


def test_frechet_distance_does_not_depend_on_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = normal(11, DIMENSIONS, seed=1), normal(8, DIMENSIONS, seed=2)
    whole = frechet_distance(x, y)
    monkeypatch.setattr(distribution, "_TRIANGLE_ROWS", 3)
    assert frechet_distance(x, y) == pytest.approx(whole, rel=1e-12)


@given(seeds, counts, counts)
def test_both_distances_are_symmetric(seed: int, n: int, m: int) -> None:
    x, y = normal(n, DIMENSIONS, seed), normal(m, DIMENSIONS, seed + 1)
    assert distances(x, y) == pytest.approx(distances(y, x), rel=1e-9)


@given(seeds, counts)
def test_frechet_distance_of_a_set_to_itself_is_zero(seed: int, count: int) -> None:
    features = normal(count, DIMENSIONS, seed)
    scale = float(features.double().var(dim=0).sum())
    assert 0 <= frechet_distance(features, features) <= 1e-12 * scale


@given(seeds, st.floats(-100, 100))
def test_frechet_distance_of_a_shifted_set_is_the_squared_shift(seed: int, shift: float) -> None:
    features = normal(9, DIMENSIONS, seed).double()
    distance = frechet_distance(features, features + shift)
    assert distance == pytest.approx(DIMENSIONS * shift**2, rel=1e-9, abs=1e-8)


def test_frechet_distance_keeps_its_digits_with_far_fewer_images_than_dimensions() -> None:
    # A set against itself, whose distance is zero. Nine directions of 400 hold anything at all; the
    # other eigenvalues of the product are rounding noise, and torchmetrics adds up their roots.
    features = normal(10, 400, seed=3).double()
    scale = float(features.var(dim=0).sum())
    assert frechet_distance(features, features) < 1e-12 * scale
    assert abs(frechet_by_torchmetrics(features, features)) > 1e-9 * scale


def test_sets_in_orthogonal_directions_differ_by_all_that_they_spread() -> None:
    x, y = torch.zeros(2, 10, 400, dtype=torch.float64)
    x[:, :200], y[:, 200:] = normal(10, 200, seed=3), normal(10, 200, seed=4)
    between = float((x.mean(dim=0) - y.mean(dim=0)).square().sum())
    expected = between + float(x.var(dim=0).sum() + y.var(dim=0).sum())
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_constant_features_differ_by_their_means_alone() -> None:
    assert frechet_distance(torch.zeros(3, 2), torch.ones(3, 2)) == pytest.approx(2)


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (torch.zeros(4, 2), torch.zeros(4, 3), r"y has shape \(4, 3\)"),
        (torch.zeros(4), torch.zeros(4), "x has shape"),
        (torch.zeros(4, 2), torch.zeros(4, 2).long(), r"y is torch\.int64"),
        (torch.tensor([[0.0], [torch.nan]]), torch.zeros(2, 1), "x holds nan or infinite"),
        (torch.zeros(1, 2), torch.zeros(2, 2), "x has 1 features"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(x: Tensor, y: Tensor, complaint: str) -> None:
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match=complaint):
            distance(x, y)
