"""Fixed-step solvers of dx/dt = v(x, t) over any time grid, in either direction (Eq. 12, 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
Step = Callable[[Velocity, Tensor, float, float], Tensor]


def uniform_grid(start: float, end: float, num_steps: int) -> list[float]:
    """num_steps + 1 times from start to end; 0 -> 1 segments, 1 -> 0 synthesizes.

    Raises:
        ValueError: num_steps below 1.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    return [start + (end - start) * i / num_steps for i in range(num_steps)] + [end]


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
def solve(velocity: Velocity, x: Tensor, grid: Sequence[float], step: Step) -> Tensor:
    """Carries x along the flow from grid[0] to grid[-1].

    Args:
        velocity: v(x, t) with x (N, C, h, w) and t a number in [0, 1].
        x: (N, C, h, w) at time grid[0].
        grid: times, increasing or decreasing.
        step: one of SOLVERS.

    Returns:
        (N, C, h, w) at time grid[-1].
    """
    for t, t_next in pairwise(grid):
        x = step(velocity, x, t, t_next)
    return x
