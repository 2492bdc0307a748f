"""How a checkpoint is solved: by which solver, in how many steps, and who is told after each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from torch import Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import DOPRI5, AfterStep, Solver

Pipeline = TypeVar("Pipeline")
StepCallback = Callable[[Pipeline, int, float, dict[str, Any]], Mapping[str, Any] | None]
"""Pipeline, number of the step from 0, t in [0, 1] of its start, and {"latents": the solver's state
(N, C, h, w)} -> what to go on from under the same name, or nothing."""

TENSOR_INPUTS = ("latents",)
"""What a callback may ask for."""


def solver_for(
    name: str,
    known: Sequence[str],
    num_steps: int | None,
    default: int,
    config: Any,
    after_step: AfterStep | None,
) -> Solver:
    """A solver with all that it depends on.

    Args:
        name: Of the solver.
        known: Names that the formulation takes.
        num_steps: Solver steps; the default where None, and none with dopri5.
        default: The checkpoint's number of steps in this direction.
        config: Of the checkpoint: grid_power, tolerance, last_step_from.
        after_step: What is done to the state after each step.

    Raises:
        UserError: An unknown solver, no step at all, or steps for a solver that takes none.
    """
    if name not in known:
        raise UserError(f"unknown solver {name!r}; known are {', '.join(known)}")
    if name != DOPRI5:
        num_steps = default if num_steps is None else num_steps
        if num_steps < 1:
            raise UserError(f"the number of steps must be at least 1, got {num_steps}")
    elif num_steps is not None:
        raise UserError(f"{name} chooses its own steps, got {num_steps}; leave the number out")
    elif after_step is not None:
        raise UserError(f"{name} chooses its own steps and calls nothing back; take another solver")
    last_step_from = config.last_step_from
    return Solver(name, num_steps, config.grid_power, config.tolerance, last_step_from, after_step)


def after_step_of(
    pipeline: Pipeline, callback: StepCallback[Pipeline] | None, tensor_inputs: Sequence[str]
) -> AfterStep | None:
    """A callback in the manner of diffusers' `callback_on_step_end`, as the solver calls it.

    Args:
        pipeline: Handed to the callback.
        callback: May change the state by what it returns; None for none.
        tensor_inputs: Names of what it is given, out of TENSOR_INPUTS.

    Raises:
        UserError: Another name.
    """
    if odd := [name for name in tensor_inputs if name not in TENSOR_INPUTS]:
        raise UserError(f"a callback can be given {TENSOR_INPUTS[0]!r} alone, asked for {odd[0]!r}")
    if callback is None:
        return None

    def after_step(number: int, t: float, latents: Tensor) -> Tensor:
        said = callback(pipeline, number, t, dict.fromkeys(tensor_inputs, latents))
        return cast(Tensor, (said or {}).get("latents", latents))

    return after_step
