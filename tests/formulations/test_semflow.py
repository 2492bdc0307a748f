from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import tiny_params
from torch import Tensor

from semflow.flow.paths import draw_t, path_sample
from semflow.flow.solvers import DOPRI5, SOLVERS, Solver, solve, solve_dopri5, time_grid
from semflow.formulations.protocol import Randoms
from semflow.formulations.semflow import SemFlow

FLOW = tiny_params().flow


def pair(seed: int) -> tuple[Tensor, Tensor]:
    """Image and mask latents (5, 3, 2, 4)."""
    x_0, x_1 = torch.randn(2, 5, 3, 2, 4, generator=torch.Generator().manual_seed(seed))
    return x_0, x_1


def never(_x: Tensor, _t: Tensor) -> Tensor:
    """A network that a draw on the path does not ask."""
    raise AssertionError


def field(x: Tensor, t: float) -> Tensor:
    """Some velocity that depends on x and t."""
    return (x + 2 * t).sin()


def test_its_network_takes_and_gives_latents() -> None:
    assert SemFlow().in_channels(4) == SemFlow().out_channels(4) == 4
    assert SemFlow.samplers == (*SOLVERS, DOPRI5)
    assert SemFlow().noises(FLOW) == 0
    assert not SemFlow.starts_from_noise


@given(st.integers(0, 2**31))
def test_a_draw_is_a_point_on_the_path_and_weighs_one(seed: int) -> None:
    x_0, x_1 = pair(seed)
    # With shares of 0.4 at the image and 0.15 at the mask: two at the ends, three between.
    uniform = torch.tensor([0.0, 0.41, 0.5, 0.8, 0.99])
    draw = SemFlow().draw(never, x_0, x_1, Randoms(uniform), FLOW)
    path = path_sample(x_0, x_1, draw_t(uniform, 0.4, 0.15))
    assert torch.equal(draw.t, path.t)
    assert torch.equal(draw.x_t, path.x_t)
    assert torch.equal(draw.target, x_1 - x_0)
    assert draw.weight.tolist() == [1, 1, 1, 1, 1]
    assert draw.t[[0, -1]].tolist() == [0, 1]
    assert torch.equal(draw.x_t[0], x_0[0])
    assert torch.equal(draw.x_t[-1], x_1[-1])


@given(st.integers(0, 2**31))
def test_the_estimate_of_the_mask_follows_the_velocity_to_the_end(seed: int) -> None:
    x_0, x_1 = pair(seed)
    draw = SemFlow().draw(never, x_0, x_1, Randoms(torch.linspace(0, 0.99, 5)), FLOW)
    torch.testing.assert_close(SemFlow().mask_estimate(draw, draw.target), x_1)
    output = torch.randn_like(x_0)
    expected = torch.stack([draw.x_t[n] + (1 - float(draw.t[n])) * output[n] for n in range(5)])
    torch.testing.assert_close(SemFlow().mask_estimate(draw, output), expected)


def test_masks_ahead_are_one_step_from_the_true_path_and_from_eulers_by_hand() -> None:
    """A field v(x, t) = x between 1 and 3, two steps: 1 -> 1.5 -> 2.25."""
    x_0 = torch.ones(1, 1, 1, 1)
    true, own = SemFlow().masks_ahead(lambda x, _t: x, x_0, 3 * x_0, (0.0, 0.25, 0.5), 2)
    # True states 1, 1.5 and 2; the solver's own are 1, 1.25 and 1.5.
    assert [float(mask) for mask in true] == [1 + 1, 1.5 + 0.75 * 1.5, 2 + 0.5 * 2]
    assert [float(mask) for mask in own] == [1 + 1, 1.25 + 0.75 * 1.25, 1.5 + 0.5 * 1.5]


def test_the_exact_velocity_leads_to_the_mask_from_everywhere() -> None:
    x_0, x_1 = pair(3)
    ahead = SemFlow().masks_ahead(lambda _x, _t: x_1 - x_0, x_0, x_1, (0.0, 0.3, 0.9), 4)
    for masks in ahead:
        assert len(masks) == 3
        for mask in masks:
            torch.testing.assert_close(mask, x_1)


@pytest.mark.parametrize("sampler", SOLVERS)
@pytest.mark.parametrize("steps", [1, 4])
def test_both_directions_solve_the_field_on_uniform_grids(sampler: str, steps: int) -> None:
    x, _ = pair(0)
    grid = [step / steps for step in range(steps + 1)]
    solver = Solver(sampler, steps, 1.0, 1e-5)
    forward = SemFlow().to_mask(field, x, solver, None)
    assert torch.equal(forward, solve(field, x, grid, SOLVERS[sampler]))
    backward = SemFlow().to_image(field, x, solver, None)
    expected = solve(field, x, grid[::-1], SOLVERS[sampler])
    torch.testing.assert_close(backward, expected, rtol=1e-5, atol=1e-6)


def test_both_directions_take_the_power_of_the_grid_and_the_tolerance() -> None:
    x, _ = pair(0)
    solver = Solver("euler", 3, 2.0, 1e-5)
    expected = solve(field, x, time_grid(1.0, 0.0, 3, 2.0), SOLVERS["euler"])
    assert torch.equal(SemFlow().to_image(field, x, solver, None), expected)
    solver = Solver(DOPRI5, None, 1.0, 1e-3)
    expected = solve_dopri5(field, x, 0.0, 1.0, 1e-3)
    assert torch.equal(SemFlow().to_mask(field, x, solver, None), expected)


def test_one_euler_step_by_hand() -> None:
    x = torch.full((1, 1, 1, 1), 0.25)
    solver = Solver("euler", 1, 1.0, 1e-5)
    assert SemFlow().to_mask(field, x, solver, None).item() == pytest.approx(0.25 + math.sin(0.25))
    assert SemFlow().to_image(field, x, solver, None).item() == pytest.approx(0.25 - math.sin(2.25))
