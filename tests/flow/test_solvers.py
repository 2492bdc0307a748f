from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semflow.flow.solvers import SOLVERS, Step, euler_states, solve, uniform_grid

FORWARD, BACKWARD = (0.0, 1.0), (1.0, 0.0)


def zero() -> Tensor:
    return torch.zeros(1, 1, 1, 1, dtype=torch.float64)


def cubic(x: Tensor, t: float) -> Tensor:
    """The slope of t ** 3."""
    return torch.full_like(x, 3 * t**2)


def growth(x: Tensor, _t: float) -> Tensor:
    return x


def end(name: str, steps: int, way: tuple[float, float] = FORWARD) -> float:
    return float(solve(cubic, zero(), uniform_grid(*way, steps), SOLVERS[name]))


def test_every_solver_of_the_schema_exists() -> None:
    assert set(SOLVERS) == {"euler", "midpoint", "heun"}


@pytest.mark.parametrize("steps", [1, 2, 5, 25])
def test_each_solver_errs_on_a_cubic_as_its_quadrature_rule_does(steps: int) -> None:
    # Left Riemann sum, midpoint rule and trapezoid rule of the integral of 3 t^2 from 0 to 1.
    assert end("euler", steps) == pytest.approx(1 - 3 / (2 * steps) + 1 / (2 * steps**2))
    assert end("midpoint", steps) == pytest.approx(1 - 1 / (4 * steps**2))
    assert end("heun", steps) == pytest.approx(1 + 1 / (2 * steps**2))


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_the_error_falls_with_the_order_of_the_solver(
    name: str, order: int, way: tuple[float, float]
) -> None:
    truth = 1.0 if way == FORWARD else -1.0
    errors = [abs(end(name, steps, way) - truth) for steps in (32, 64)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_exponential_growth_is_the_product_of_each_steps_factor(
    steps: int, way: tuple[float, float]
) -> None:
    h = (way[1] - way[0]) / steps
    one = zero() + 1
    for name, factor in (
        ("euler", 1 + h),
        ("midpoint", 1 + h + h**2 / 2),
        ("heun", 1 + h + h**2 / 2),
    ):
        found = float(solve(growth, one, uniform_grid(*way, steps), SOLVERS[name]))
        assert found == pytest.approx(factor**steps)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_going_forward_and_back_returns_to_the_start_as_steps_grow(name: str, order: int) -> None:
    def field(x: Tensor, t: float) -> Tensor:
        return torch.sin(3 * x) + t

    start = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 1, 2, 2)
    errors = []
    for steps in (16, 32, 64):
        there = solve(field, start, uniform_grid(*FORWARD, steps), SOLVERS[name])
        back = solve(field, there, uniform_grid(*BACKWARD, steps), SOLVERS[name])
        errors.append(float((back - start).abs().max()))
    assert errors[0] / errors[1] > 2**order * 0.8
    assert errors[1] / errors[2] > 2**order * 0.8
    assert errors[2] < 0.05


@given(st.integers(1, 200), st.sampled_from([FORWARD, BACKWARD]))
def test_a_grid_of_n_steps_has_n_plus_one_even_times_and_exact_ends(
    steps: int, way: tuple[float, float]
) -> None:
    grid = uniform_grid(*way, steps)
    assert len(grid) == steps + 1
    assert (grid[0], grid[-1]) == way
    width = (way[1] - way[0]) / steps
    assert [b - a for a, b in itertools.pairwise(grid)] == pytest.approx([width] * steps)


@pytest.mark.parametrize("steps", [0, -1])
def test_fewer_than_one_step_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1, got {steps}"):
        uniform_grid(0.0, 1.0, steps)


@pytest.mark.parametrize(("name", "calls_a_step"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_n_steps_cost_n_times_the_evaluations_of_one_step(
    name: str, calls_a_step: int, way: tuple[float, float]
) -> None:
    for steps in (1, 2, 7, 25):
        times: list[float] = []

        def field(x: Tensor, t: float, times: list[float] = times) -> Tensor:
            times.append(t)
            return torch.zeros_like(x)

        solve(field, zero(), uniform_grid(*way, steps), SOLVERS[name])
        assert len(times) == calls_a_step * steps
        assert times[0] == way[0]
        assert all(0 <= t <= 1 for t in times)


def test_euler_takes_the_slope_where_each_step_begins_and_heun_also_where_it_ends() -> None:
    def times_of(step: Step) -> list[float]:
        times: list[float] = []

        def field(x: Tensor, t: float) -> Tensor:
            times.append(t)
            return x

        solve(field, zero(), [1.0, 0.5, 0.0], step)
        return times

    assert times_of(SOLVERS["euler"]) == [1.0, 0.5]
    assert times_of(SOLVERS["midpoint"]) == [1.0, 0.75, 0.5, 0.25]
    assert times_of(SOLVERS["heun"]) == [1.0, 0.5, 0.5, 0.0]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True).map(sorted))
def test_a_constant_velocity_is_solved_exactly_on_any_grid(grid: list[float]) -> None:
    for step in SOLVERS.values():
        found = float(solve(lambda x, _: torch.full_like(x, 2.5), zero(), grid, step))
        assert found == pytest.approx(2.5 * (grid[-1] - grid[0]))


def test_the_input_is_left_as_it_was() -> None:
    start = torch.ones(1, 1, 1, 1)
    solve(growth, start, [0.0, 1.0], SOLVERS["heun"])
    assert float(start) == 1


def test_states_on_the_way_lie_on_straight_lines_between_eulers_steps_by_hand() -> None:
    # dx/dt = x from 1 with two steps: slope 1 up to 1.5 at t = 0.5, then slope 1.5.
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    states = euler_states(growth, x, 2, (0.0, 0.25, 0.5, 0.9))
    assert [float(state) for state in states] == pytest.approx([1, 1.25, 1.5, 2.1])


def test_a_state_at_a_grid_point_is_what_the_solver_is_at_there_and_costs_no_later_step() -> None:
    asked: list[float] = []

    def noting(x: Tensor, t: float) -> Tensor:
        asked.append(t)
        return (x + 2 * t).sin()

    x = torch.linspace(-1, 1, 4).view(1, 1, 2, 2)
    grid = uniform_grid(*FORWARD, 25)
    (state,) = euler_states(noting, x, 25, (0.16,))
    assert asked == grid[:5]
    assert torch.equal(state, solve(noting, x, grid[:5], SOLVERS["euler"]))
