import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from semflow.metrics import distribution
from semflow.metrics.distribution import FeatureMoments, frechet_distance, kernel_distance

DIMENSIONS = 6


class PassThrough(nn.Module):
    """A feature network for torchmetrics that returns what it is given."""

    num_features = DIMENSIONS

    def forward(self, features: Tensor) -> Tensor:
        return features


def moments(features: Tensor) -> FeatureMoments:
    state = FeatureMoments(features.shape[1])
    state.update(features)
    return state


def normal(count: int, dimensions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator)
    return torch.randn(count, dimensions, generator=generator) @ mixing + seed % 3


seeds = st.integers(0, 2**31)
counts = st.integers(2, 12)


def test_moments_of_three_vectors_are_those_worked_by_hand() -> None:
    state = moments(torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 6.0]]))
    assert state.count == 3
    assert state.mean.tolist() == [2.0, 2.0]
    assert state.covariance.tolist() == [[1.0, 3.0], [3.0, 12.0]]


def test_frechet_distance_in_one_dimension_is_that_worked_by_hand() -> None:
    # Means 2 and 8, deviations 1 and 3: (2 - 8)^2 + (1 - 3)^2.
    a = moments(torch.tensor([[1.0], [2.0], [3.0]]))
    b = moments(torch.tensor([[5.0], [8.0], [11.0]]))
    assert frechet_distance(a, b) == pytest.approx(40)


def test_kernel_distance_of_two_pairs_is_that_worked_by_hand() -> None:
    # k(1, 3) = 4^3, k(0, 2) = 1, across k(1, 0) + k(1, 2) + k(3, 0) + k(3, 2) = 1 + 27 + 1 + 343.
    x = torch.tensor([[1.0], [3.0]])
    y = torch.tensor([[0.0], [2.0]])
    assert kernel_distance(x, y) == pytest.approx(64 + 1 - 2 * (1 + 27 + 1 + 343) / 4)


@pytest.mark.parametrize("counts", [(40, 30), (4, 5)], ids=["full rank", "fewer than dimensions"])
def test_frechet_distance_equals_that_of_torchmetrics(counts: tuple[int, int]) -> None:
    x, y = normal(counts[0], DIMENSIONS, seed=1), normal(counts[1], DIMENSIONS, seed=2)
    other = FrechetInceptionDistance(feature=PassThrough()).set_dtype(torch.float64)
    other.update(x, real=True)
    other.update(y, real=False)
    expected = float(other.compute())
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(expected, rel=1e-5)


def test_kernel_distance_equals_that_of_torchmetrics_on_one_full_subset() -> None:
    x, y = normal(30, DIMENSIONS, seed=1), normal(30, DIMENSIONS, seed=2)
    other = KernelInceptionDistance(feature=PassThrough(), subsets=1, subset_size=30)
    other.update(x, real=True)
    other.update(y, real=False)
    assert kernel_distance(x, y) == pytest.approx(float(other.compute()[0]), rel=1e-4)


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


@given(seeds, counts, st.data())
def test_any_partition_of_a_set_adds_up_to_the_same_moments(
    seed: int, count: int, data: st.DataObject
) -> None:
    # Small integers add without rounding, so that the states must be equal to the last bit.
    generator = torch.Generator().manual_seed(seed)
    features = torch.randint(-9, 9, (count, DIMENSIONS), generator=generator).float()
    cut = data.draw(st.integers(0, count))
    parts = moments(features[:cut]) + moments(features[cut:])
    whole = moments(features)
    assert parts.count == whole.count
    assert torch.equal(parts.sum, whole.sum)
    assert torch.equal(parts.outer, whole.outer)


@given(seeds, counts, counts)
def test_both_distances_are_symmetric(seed: int, n: int, m: int) -> None:
    x, y = normal(n, DIMENSIONS, seed), normal(m, DIMENSIONS, seed + 1)
    a, b = moments(x), moments(y)
    there, back = frechet_distance(a, b), frechet_distance(b, a)
    assert there == pytest.approx(back, rel=1e-9)
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x), rel=1e-9)


@given(seeds, counts)
def test_frechet_distance_of_a_set_to_itself_is_zero(seed: int, count: int) -> None:
    state = moments(normal(count, DIMENSIONS, seed))
    scale = float(state.covariance.trace())
    assert 0 <= frechet_distance(state, state) <= 1e-12 * scale


@given(seeds, st.floats(-100, 100))
def test_frechet_distance_of_a_shifted_set_is_the_squared_shift(seed: int, shift: float) -> None:
    features = normal(9, DIMENSIONS, seed).double()
    distance = frechet_distance(moments(features), moments(features + shift))
    assert distance == pytest.approx(DIMENSIONS * shift**2, rel=1e-9, abs=1e-8)


def test_frechet_distance_keeps_its_digits_with_far_fewer_images_than_dimensions() -> None:
    # In orthogonal subspaces nothing overlaps, so that the distance is the sum of the traces.
    features = torch.zeros(2, 10, 400, dtype=torch.float64)
    features[0, :, :200] = normal(10, 200, seed=3).double()
    features[1, :, 200:] = normal(10, 200, seed=4).double()
    a, b = moments(features[0]), moments(features[1])
    between = float((a.mean - b.mean).square().sum())
    expected = between + float(a.covariance.trace() + b.covariance.trace())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_constant_features_differ_by_their_means_alone() -> None:
    a, b = moments(torch.zeros(3, 2)), moments(torch.ones(3, 2))
    assert frechet_distance(a, b) == pytest.approx(2)


def test_features_that_cannot_be_scored_are_refused() -> None:
    state = FeatureMoments(2)
    with pytest.raises(ValueError, match=r"give \(N, 2\)"):
        state.update(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"features is torch.int64"):
        state.update(torch.zeros(4, 2).long())
    with pytest.raises(ValueError, match="nan or infinite"):
        state.update(torch.tensor([[0.0, torch.nan]]))
    assert state.count == 0
    with pytest.raises(ValueError, match="the mean of 0 features"):
        _ = state.mean
    with pytest.raises(ValueError, match="dimensions is 0"):
        FeatureMoments(0)


def test_sets_that_cannot_be_compared_are_refused() -> None:
    pair = torch.zeros(2, 2)
    with pytest.raises(ValueError, match="cannot add moments of 2 and 3"):
        FeatureMoments(2) + FeatureMoments(3)
    with pytest.raises(ValueError, match="2 and 3 dimensions"):
        frechet_distance(moments(pair), moments(torch.zeros(2, 3)))
    with pytest.raises(ValueError, match="needs 2 features, got 1"):
        frechet_distance(moments(pair), moments(pair[:1]))
    with pytest.raises(ValueError, match=r"y has shape \(2, 3\)"):
        kernel_distance(pair, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="x has 1 features"):
        kernel_distance(pair[:1], pair)
