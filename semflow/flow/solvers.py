"""Solvers of dx/dt = v(x, t) in either direction (Eq. 12, 13): fixed steps, and adaptive ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torchdiffeq import odeint

Velocity = Callable[[Tensor, float], Tensor]
Step = Callable[[Velocity, Tensor, float, float], Tensor]
AfterStep = Callable[[int, float, Tensor], Tensor]
"""Number of a step from 0, the time of its start, and the state it led to -> what to go on from."""


def uniform_grid(start: float, end: float, num_steps: int) -> list[float]:
    """num_steps + 1 times from start to end; 0 -> 1 segments, 1 -> 0 synthesizes.

    Raises:
        ValueError: num_steps below 1.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    return [start + (end - start) * i / num_steps for i in range(num_steps)] + [end]


def time_grid(start: float, end: float, num_steps: int, power: float) -> list[float]:
    """The times t_i = (i / num_steps) ** power, from start to end.

    They are measured from the image's end, t = 0, so that both directions visit the same ones; a
    power above 1 puts them closer together there. Power 1 is `uniform_grid`, bit for bit.

    Args:
        start: 0 or 1.
        end: The other one.
        num_steps: At least 1.
        power: Above 0.

    Raises:
        ValueError: num_steps below 1.
    """
    return [t**power for t in uniform_grid(start, end, num_steps)]


def with_last_step(grid: Sequence[float], last_step_from: float) -> list[float]:
    """A grid from 0 to 1 whose last step starts early: all other times are drawn towards 0.

    Once x_t holds more of the answer than of the image, evaluations read the answer back and can
    only blur it; the image is looked at again and again before, and then the flow goes straight.

    Args:
        grid: Times from 0 to 1; one step stays one step.
        last_step_from: Where the last of several steps starts, in (0, 1).
    """
    *before, end = grid
    latest = before[-1] or 1.0
    return [t / latest * last_step_from for t in before] + [end]


def euler_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Order 1, one evaluation: Eq. 12 where t_next > t, Eq. 13 where t_next < t."""
    return x + (t_next - t) * velocity(x, t)


def midpoint_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Order 2, two evaluations: the slope in the middle of the interval."""
    middle = x + (t_next - t) / 2 * velocity(x, t)
    return x + (t_next - t) * velocity(middle, (t + t_next) / 2)


def heun_step(velocity: Velocity, x: Tensor, t: float, t_next: float) -> Tensor:
    """Order 2, two evaluations: the mean of the slopes at both ends."""
    slope = velocity(x, t)
    slope_next = velocity(x + (t_next - t) * slope, t_next)
    return x + (t_next - t) / 2 * (slope + slope_next)


SOLVERS: dict[str, Step] = {"euler": euler_step, "midpoint": midpoint_step, "heun": heun_step}
"""What takes a number of steps."""

DOPRI5 = "dopri5"
"""Runge-Kutta 5(4) of Dormand and Prince (the paper's RK45), which chooses its own steps."""


@dataclass(frozen=True)
class Solver:
    """One way to solve, with all that it depends on.

    Args:
        name: One of SOLVERS, DOPRI5, or a formulation's own.
        num_steps: Number of steps, at least 1; None where the solver chooses them.
        grid_power: Of `time_grid`, for a number of steps.
        tolerance: Absolute and relative error of a step, above 0, where the solver chooses them.
        last_step_from: Where the last step to the mask starts; None where the grid says it.
        after_step: What is done to the state after each of a number of steps; None for nothing.
    """

    name: str
    num_steps: int | None
    grid_power: float
    tolerance: float
    last_step_from: float | None = None
    after_step: AfterStep | None = None

    def solve(self, velocity: Velocity, x: Tensor, start: float, end: float) -> Tensor:
        """Carries x (N, C, h, w) along the flow from time start to time end.

        Raises:
            ValueError: A solver that takes a number of steps has none.
        """
        to_mask = end > start
        if self.name == DOPRI5:
            if not to_mask or self.last_step_from is None:
                return solve_dopri5(velocity, x, start, end, self.tolerance)
            x = solve_dopri5(velocity, x, start, self.last_step_from, self.tolerance)
            return solve(velocity, x, (self.last_step_from, end), euler_step)
        if self.num_steps is None:
            raise ValueError(f"{self.name} takes a number of steps, got none")
        grid = time_grid(start, end, self.num_steps, self.grid_power)
        if to_mask and self.last_step_from is not None:
            grid = with_last_step(grid, self.last_step_from)
        return solve(velocity, x, grid, SOLVERS[self.name], self.after_step)


@torch.no_grad()
def euler_states(
    velocity: Velocity, x: Tensor, num_steps: int, times: Sequence[float]
) -> list[Tensor]:
    """Where Euler's method is on its way from t = 0 to 1; between its steps it goes straight.

    Args:
        velocity: v(x, t) with x (N, C, h, w) and t a number in [0, 1].
        x: (N, C, h, w) at t = 0.
        num_steps: Equal steps of the whole way.
        times: Increasing, in [0, 1).

    Returns:
        (N, C, h, w) for each of the times.
    """
    states: list[Tensor] = []
    for t, t_next in pairwise(uniform_grid(0.0, 1.0, num_steps)):
        if len(states) == len(times):
            break
        slope = velocity(x, t)
        states += [x + (time - t) * slope for time in times if t <= time < t_next]
        x = x + (t_next - t) * slope
    return states


@torch.no_grad()
def solve(
    velocity: Velocity,
    x: Tensor,
    grid: Sequence[float],
    step: Step,
    after_step: AfterStep | None = None,
) -> Tensor:
    """Carries x along the flow from grid[0] to grid[-1].

    Args:
        velocity: v(x, t) with x (N, C, h, w) and t a number in [0, 1].
        x: (N, C, h, w) at time grid[0].
        grid: times, increasing or decreasing.
        step: one of SOLVERS.
        after_step: what is done to the state after each step; None for nothing.

    Returns:
        (N, C, h, w) at time grid[-1].
    """
    for number, (t, t_next) in enumerate(pairwise(grid)):
        x = step(velocity, x, t, t_next)
        if after_step is not None:
            x = after_step(number, t, x)
    return x


@torch.no_grad()
def solve_dopri5(
    velocity: Velocity, x: Tensor, start: float, end: float, tolerance: float
) -> Tensor:
    """Carries x along the flow by DOPRI5, each sample with steps of its own.

    A step is taken where the root mean square over the sample of error / (tolerance + tolerance
    |x|) is at most 1, and otherwise tried again with a smaller one.

    Args:
        velocity: v(x, t) with x (1, C, h, w) and t a number between start and end.
        x: (N, C, h, w) at time start.
        start: Time of x.
        end: Another time, later or earlier.
        tolerance: Absolute and relative, above 0.

    Returns:
        (N, C, h, w) at time end.
    """
    # The library has one step size for all that it is given, whatever norm measures the error:
    # in a batch each sample's result would depend on its neighbours, so each is solved alone.
    return torch.cat([_solve_one(velocity, one, start, end, tolerance) for one in x.split(1)])


def _solve_one(velocity: Velocity, x: Tensor, start: float, end: float, tolerance: float) -> Tensor:
    low, high = min(start, end), max(start, end)

    def slope(t: Tensor, state: Tensor) -> Tensor:
        # The trial that the first step's size is guessed from may lie beyond the end.
        return velocity(state.to(x.dtype), min(max(float(t), low), high)).to(state.dtype)

    times = torch.tensor([start, end], dtype=torch.float64, device=x.device)
    found = odeint(
        slope,
        # Errors are small differences of large numbers; the network keeps its own precision.
        x.double(),
        times,
        rtol=tolerance,
        atol=tolerance,
        method=DOPRI5,
        # Without, the last step goes beyond the end, where the network was never trained.
        options={"step_t": times[1:]},
    )
    return found[-1].to(x.dtype)
