from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semflow.flow.paths import bridge_sample, draw_t, mask_estimate, path_sample


def even(count: int) -> torch.Tensor:
    """Evenly spread numbers in [0, 1), each standing for 1 / count of the probability."""
    return ((torch.arange(count, dtype=torch.float64) + 0.5) / count).float()


shares = st.tuples(st.floats(0, 0.5), st.floats(0, 0.45))


@given(shares)
def test_the_ends_are_hit_exactly_with_their_probabilities(share: tuple[float, float]) -> None:
    t = draw_t(even(4000), *share)
    assert float((t == 0).float().mean()) == pytest.approx(share[0], abs=1 / 1000)
    assert float((t == 1).float().mean()) == pytest.approx(share[1], abs=1 / 1000)


@given(shares)
def test_between_the_ends_t_is_uniform(share: tuple[float, float]) -> None:
    t = draw_t(even(4000), *share)
    inside = t[(t > 0) & (t < 1)]
    torch.testing.assert_close(inside, even(len(inside)), atol=0.002, rtol=0)


@given(shares)
def test_t_grows_with_the_uniform_number_and_stays_within_bounds(
    share: tuple[float, float],
) -> None:
    t = draw_t(torch.cat([torch.zeros(1), even(500)]), *share)
    assert (t.diff() >= 0).all()
    assert float(t[0]) == 0
    assert float(t[-1]) <= 1
    assert t.dtype == torch.float32


def test_without_ends_t_is_the_uniform_number_itself() -> None:
    assert torch.equal(draw_t(even(100), 0.0, 0.0), even(100))


def test_all_draws_can_be_at_the_ends() -> None:
    t = draw_t(even(1000), 0.25, 0.75)
    assert t.unique().tolist() == [0, 1]
    assert float(t.mean()) == pytest.approx(0.75)


def test_by_hand() -> None:
    # 0.4 of the draws at 0, 0.2 at 1: u = 0.5 is a quarter of the way from 0.4 to 0.8.
    t = draw_t(torch.tensor([0.0, 0.39, 0.5, 0.6, 0.81, 0.999]), 0.4, 0.2)
    assert t.tolist() == pytest.approx([0, 0, 0.25, 0.5, 1, 1])


def test_a_power_by_hand() -> None:
    # As above, squared between the ends: a quarter becomes a sixteenth, a half a quarter.
    t = draw_t(torch.tensor([0.0, 0.39, 0.5, 0.6, 0.81, 0.999]), 0.4, 0.2, 2.0)
    assert t.tolist() == pytest.approx([0, 0, 1 / 16, 1 / 4, 1, 1])


@given(shares, st.floats(0.25, 4))
def test_a_power_sets_the_distribution_between_the_ends_and_leaves_their_shares(
    share: tuple[float, float], power: float
) -> None:
    plain, t = draw_t(even(4000), *share), draw_t(even(4000), *share, power)
    for end in (0, 1):
        assert torch.equal(t == end, plain == end)
    inside = t[(t > 0) & (t < 1)]
    for bound in (0.04, 0.25, 0.5, 0.9):
        # P(u ** p < b) = b ** (1 / p).
        assert float((inside < bound).float().mean()) == pytest.approx(
            bound ** (1 / power), abs=0.004
        )


@given(st.integers(0, 2**31), st.floats(0, 1, width=32))
def test_one_step_with_the_true_velocity_ends_at_the_mask(seed: int, time: float) -> None:
    x_0, x_1 = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(seed))
    t = torch.tensor([0.0, time, 1.0])
    path = path_sample(x_0, x_1, t)
    assert torch.equal(path.t, t)
    assert torch.equal(path.x_t[0], x_0[0])
    assert torch.equal(path.x_t[2], x_1[2])
    torch.testing.assert_close(path.x_t[1], (1 - time) * x_0[1] + time * x_1[1])
    assert torch.equal(path.velocity, x_1 - x_0)
    torch.testing.assert_close(mask_estimate(path.x_t, path.velocity, t), x_1)


def bridges(t: torch.Tensor, deviation: float, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Noise on a path from 2 to 5, and what it adds to the velocity."""
    x_0 = torch.full_like(noise, 2.0)
    path = path_sample(x_0, x_0 + 3, t)
    found = bridge_sample(path, noise, deviation)
    assert found.t is path.t
    return found.x_t - path.x_t, found.velocity - path.velocity


def test_a_bridge_has_no_noise_at_its_ends() -> None:
    noise = torch.randn(2, 3, 2, 2)
    for added in bridges(torch.tensor([0.0, 1.0]), 0.5, noise):
        assert not added.any()


def test_without_deviation_a_bridge_is_the_path() -> None:
    for added in bridges(torch.tensor([0.0, 0.1, 0.5, 1.0]), 0.0, torch.randn(4, 3, 2, 2)):
        assert not added.any()


def test_a_bridge_by_hand() -> None:
    # At t = 0.2, sqrt(t (1 - t)) is 0.4; its derivative (1 - 2 t) / (2 * 0.4) is 0.75.
    added = bridges(torch.tensor([0.2, 0.5, 0.8]), 0.5, torch.full((3, 1, 1, 1), 2.0))
    assert added[0].flatten().tolist() == pytest.approx([0.4, 0.5, 0.4], abs=1e-5)
    assert added[1].flatten().tolist() == pytest.approx([0.75, 0, -0.75], abs=1e-5)


@pytest.mark.parametrize("t", [1e-5, 0.002, 0.1, 0.5, 0.9])
def test_a_bridges_variance_is_that_of_brownian_motion_tied_at_both_ends(t: float) -> None:
    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    added, _ = bridges(torch.tensor([t]), 0.3, noise)
    assert float(added.var()) == pytest.approx(0.09 * t * (1 - t), rel=0.02)


@given(st.integers(0, 2**31), st.floats(0.01, 0.99))
def test_the_target_of_a_bridge_is_the_derivative_of_its_noisy_point(seed: int, t: float) -> None:
    x_0, x_1, noise = torch.randn(
        3, 1, 4, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )

    def sample(time: float) -> tuple[torch.Tensor, torch.Tensor]:
        one = torch.tensor([time], dtype=torch.float64)
        found = bridge_sample(path_sample(x_0, x_1, one), noise, 0.7)
        return found.x_t, found.velocity

    step = 1e-6
    slope = (sample(t + step)[0] - sample(t - step)[0]) / (2 * step)
    torch.testing.assert_close(sample(t)[1], slope, atol=1e-5, rtol=1e-5)
