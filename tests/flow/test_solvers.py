from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semflow.flow.solvers import (
    DOPRI5,
    SOLVERS,
    Solver,
    Step,
    euler_states,
    solve,
    solve_dopri5,
    time_grid,
    uniform_grid,
    with_last_step,
)

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


def test_a_power_of_two_squares_the_times_and_both_directions_visit_the_same_ones() -> None:
    assert time_grid(*FORWARD, 4, 2.0) == [0, 0.0625, 0.25, 0.5625, 1]
    assert time_grid(*BACKWARD, 4, 2.0) == [1, 0.5625, 0.25, 0.0625, 0]
    assert time_grid(*FORWARD, 4, 0.5) == pytest.approx([0, 0.5, 0.5**0.5, 0.75**0.5, 1])


@given(st.integers(1, 100), st.floats(0.2, 5))
def test_a_grid_of_any_power_has_exact_ends_and_the_same_times_both_ways(
    steps: int, power: float
) -> None:
    forward, backward = time_grid(*FORWARD, steps, power), time_grid(*BACKWARD, steps, power)
    assert (forward[0], forward[-1]) == FORWARD
    assert (backward[0], backward[-1]) == BACKWARD
    assert backward[::-1] == pytest.approx(forward, abs=1e-12)
    widths = [after - before for before, after in itertools.pairwise(forward)]
    # Above 1 the steps grow from the image's end on, below 1 they shrink.
    assert widths == pytest.approx(sorted(widths, reverse=power < 1), abs=1e-12)


@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_power_one_is_the_uniform_grid_bit_for_bit(way: tuple[float, float]) -> None:
    for steps in range(1, 300):
        assert time_grid(*way, steps, 1.0) == uniform_grid(*way, steps)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_a_solver_with_steps_solves_on_its_grid(name: str, way: tuple[float, float]) -> None:
    start = torch.linspace(-1, 1, 8).view(2, 1, 2, 2)
    for power in (1.0, 2.0):
        solver = Solver(name, 3, power, tolerance=1.0)
        expected = solve(growth, start, time_grid(*way, 3, power), SOLVERS[name])
        assert torch.equal(solver.solve(growth, start, *way), expected)
    with pytest.raises(ValueError, match=f"{name} takes a number of steps, got none"):
        Solver(name, None, 1.0, 1.0).solve(growth, start, *way)


def spring(x: Tensor, t: float) -> Tensor:
    """dx/dt = -4 x + 2 t: linear, with a closed form."""
    return -4 * x + 2 * t


def spring_end(x: Tensor, start: float, end: float) -> Tensor:
    """t / 2 - 1 / 8 solves it, and what x is away from that decays at rate 4."""
    return end / 2 - 1 / 8 + (x - start / 2 + 1 / 8) * math.exp(-4 * (end - start))


class Counting:
    """A velocity that notes the times and the numbers of samples that it is asked for."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.samples: set[int] = set()

    def __call__(self, x: Tensor, t: float) -> Tensor:
        self.times.append(t)
        self.samples.add(len(x))
        return spring(x, t)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_dopri5_meets_the_closed_form_of_a_linear_equation_within_its_tolerance(
    tolerance: float, way: tuple[float, float]
) -> None:
    start = torch.linspace(-2, 2, 12, dtype=torch.float64).view(3, 1, 2, 2)
    truth = spring_end(start, *way)
    found = Solver(DOPRI5, None, 1.0, tolerance).solve(spring, start, *way)
    # A step's error is at most the tolerance; solved backward, errors grow as differences do.
    growth_of_errors = max(1.0, math.exp(-4 * (way[1] - way[0])))
    assert float((found - truth).abs().max()) < 10 * tolerance * growth_of_errors
    assert found.shape == start.shape


def test_dopri5_takes_fewer_evaluations_and_errs_more_with_a_looser_tolerance() -> None:
    start = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    costs, errors = [], []
    for tolerance in (1e-2, 1e-4, 1e-6, 1e-8):
        velocity = Counting()
        found = solve_dopri5(velocity, start, *FORWARD, tolerance)
        costs.append(len(velocity.times))
        errors.append(float((found - spring_end(start, *FORWARD)).abs().max()))
    assert 0 < costs[0] < costs[1] < costs[2] < costs[3] < 400
    assert errors[0] > errors[1] > errors[2] > errors[3]


@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_dopri5_asks_for_no_time_outside_the_flow(way: tuple[float, float], scale: float) -> None:
    # Where velocities are small beside x, the library's first trial step is a long one.
    velocity = Counting()
    start = torch.full((1, 1, 2, 2), 3.0)
    solve_dopri5(lambda x, t: scale * velocity(x, t), start, *way, 1e-5)
    assert velocity.times[0] == way[0]
    assert velocity.times[-1] == pytest.approx(way[1])
    assert all(0 <= t <= 1 for t in velocity.times)


@pytest.mark.parametrize("way", [FORWARD, BACKWARD])
def test_dopri5_gives_a_sample_the_same_bytes_and_evaluations_in_any_batch(
    way: tuple[float, float],
) -> None:
    # Samples of different sizes would force each other's steps.
    start = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    start *= torch.tensor([1e-3, 1.0, 30.0, 1e3])[:, None, None, None]
    together = Counting()
    whole = solve_dopri5(together, start, *way, 1e-4)
    assert together.samples == {1}
    alone = Counting()
    for order in ([3, 1], [0, 2]):
        found = solve_dopri5(alone, start[order], *way, 1e-4)
        assert torch.equal(found, whole[order])
    assert sorted(alone.times) == sorted(together.times)


def test_dopri5_keeps_the_precision_of_the_network_and_leaves_its_input() -> None:
    start = torch.ones(2, 1, 2, 2)
    types = set()

    def velocity(x: Tensor, t: float) -> Tensor:
        types.add(x.dtype)
        return spring(x, t)

    found = solve_dopri5(velocity, start, *FORWARD, 1e-6)
    assert found.dtype == torch.float32
    assert types == {torch.float32}
    torch.testing.assert_close(found, spring_end(start, *FORWARD), atol=1e-5, rtol=0)
    assert torch.equal(start, torch.ones(2, 1, 2, 2))


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


def test_a_last_step_that_starts_early_draws_the_times_before_it_together() -> None:
    assert with_last_step([0.0, 0.25, 0.5, 0.75, 1.0], 0.3) == pytest.approx([0, 0.1, 0.2, 0.3, 1])
    assert with_last_step([0.0, 1.0], 0.3) == [0.0, 1.0]
    assert with_last_step(time_grid(0.0, 1.0, 3, 2.0), 0.4) == pytest.approx([0, 0.1, 0.4, 1])


@pytest.mark.parametrize("name", ["euler", DOPRI5])
def test_the_last_step_starts_early_towards_the_mask_only(name: str) -> None:
    """dx/dt = x: up to 0.5 it is followed, and from there the slope stays."""
    x = torch.ones(1, 1, 1, 1)
    num_steps = None if name == DOPRI5 else 3
    early = Solver(name, num_steps, 1.0, 1e-6, last_step_from=0.5)
    middle = math.exp(0.5) if name == DOPRI5 else 1.25**2
    assert float(early.solve(lambda x, _t: x, x, 0.0, 1.0)) == pytest.approx(1.5 * middle, rel=1e-4)
    plain = Solver(name, num_steps, 1.0, 1e-6)
    back = (solver.solve(lambda x, _t: x, x, 1.0, 0.0) for solver in (early, plain))
    assert torch.equal(*back)
