from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semflow.flow.paths import draw_t, mask_estimate, path_sample


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
