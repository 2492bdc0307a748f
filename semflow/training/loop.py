"""The optimisation loop: the same for the velocity field and for the discriminative baseline."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from semflow.core.progress import progress_bar
from semflow.training.checkpoints import Checkpoints
from semflow.training.curve import Log
from semflow.training.finiteness import LOSSES_EVERY, Finiteness
from semflow.training.fsdp import forget_gathered
from semflow.training.loading import steps_to_come
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.state import TrainingState, new_state
from semflow.training.termination import EXIT_CODE, Termination, any_process, noted_termination

LossOf = Callable[[nn.Module, TrainingSample], dict[str, Tensor]]
"""Scalars of a batch by name; "loss" is the one that is minimised."""


Watch = Callable[[int], None]
"""Called with the step while the model holds its average, on every process."""


def watch_nothing(_step: int) -> None:
    """For a model that no one looks at while it trains."""


@dataclass(frozen=True)
class Progress:
    """Where the loop reports to.

    Args:
        name: of the stage and of its block in params.yaml, for the progress bar and messages.
        log: receives (step, values) every `log_every` steps.
        watch: looks at the averaged model every `sample_every` steps.
    """

    name: str
    log: Log
    watch: Watch


def optimise(
    model: nn.Module,
    loss_of: LossOf,
    samples: TrainingSamples,
    params: TrainParams,
    accelerator: Accelerator,
    progress: Progress,
    checkpoints: Checkpoints,
) -> dict[str, Tensor]:
    """Trains a model; what counts of it is the exponential moving average of its weights.

    Args:
        model: in float32, on the accelerator's device; it is trained in place, and may come out of
            it as this process's shards.
        loss_of: the loss of a batch.
        samples: by position; step i takes positions i*B .. (i+1)*B - 1.
        params: B and everything else about the optimisation.
        accelerator: spreads the work.
        progress: where to report.
        checkpoints: where to go on from, and where to leave what a later run goes on from.

    Returns:
        The averaged weights by name, on the CPU, for an equal model; the main process has them all.

    Raises:
        SystemExit: after a SIGTERM, once the state is saved.
        UserError: the loss is not finite, with step, learning rate and keys; the weights are not
            finite where they would be saved; or the batch cannot be shared by the processes and
            their micro-batches.
    """
    state = new_state(model, params, accelerator)
    checkpoints.restore(state)
    if state.step:
        said = f"{progress.name}: resumed at step {state.step}"
        accelerator.print(said, file=sys.stderr, flush=True)
    if accelerator.is_main_process:
        progress.log.start(state.step)
    finiteness = Finiteness(samples, accelerator, params.learning_rate, progress.name)
    with (
        noted_termination() as termination,
        samples_bar(state, params, progress.name) as bar,
        steps_to_come(samples, params, accelerator, state.step) as steps,
    ):
        for parts in steps:
            values = learn(loss_of, parts, state, accelerator, finiteness, progress.name)
            update(state, accelerator, params.max_grad_norm)
            bar.update(params.batch_size)
            report(values, state, params, accelerator, progress, finiteness, bar)
            save_or_stop(state, params.steps, accelerator, checkpoints, termination, finiteness)
    return state.averaged()


def learn(
    loss_of: LossOf,
    parts: list[TrainingSample],
    state: TrainingState,
    accelerator: Accelerator,
    finiteness: Finiteness,
    name: str,
) -> dict[str, Tensor]:
    """Leaves the gradients of one step in the model; returns the mean of its parts' values."""
    found = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        # Processes exchange gradients once a step, not once a part.
        with nullcontext() if last else accelerator.no_sync(state.network):
            values = loss_of(state.network, part)
            finiteness.note(values["loss"], part["index"], state, name)
            accelerator.backward(values["loss"] / len(parts))
        found.append({key: value.detach() for key, value in values.items()})
    return {key: torch.stack([values[key] for values in found]).mean() for key in found[0]}


def report(
    values: dict[str, Tensor],
    state: TrainingState,
    params: TrainParams,
    accelerator: Accelerator,
    progress: Progress,
    finiteness: Finiteness,
    bar: tqdm[Any],
) -> None:
    """After a step: logs its values and watches the average where either is due.

    Raises:
        UserError: A loss since the last look, or a weight that would be shown, is not finite.
    """
    logs = is_due(state.step, params.log_every, params.steps)
    watches = is_due(state.step, params.sample_every, params.steps)
    if logs or watches or state.step % LOSSES_EVERY == 0:
        finiteness.check_losses()
    if logs:
        log_values(values, state, accelerator, progress.log, bar)
    if watches:
        finiteness.check_weights(state)
        watch_average(state, progress.watch)


def log_values(
    values: dict[str, Tensor],
    state: TrainingState,
    accelerator: Accelerator,
    log: Log,
    bar: tqdm[Any],
) -> None:
    """Notes the mean over processes of a step's values, and shows it behind the bar."""
    means = accelerator.reduce(values, reduction="mean")
    numbers = {name: float(value) for name, value in means.items()}
    if accelerator.is_main_process:
        log.add(state.step, {**numbers, "learning_rate": state.learning_rate})
    # Shown with the next update; of the others a terminal's line has no room.
    bar.set_postfix(loss=f"{numbers['loss']:.4f}", refresh=False)


def save_or_stop(
    state: TrainingState,
    steps: int,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    termination: Termination,
    finiteness: Finiteness,
) -> None:
    """Leaves a state where one is due or asked for, of finite weights only.

    Raises:
        SystemExit: After a SIGTERM, once the state is saved.
        UserError: A loss since the last look, or a weight, is not finite; nothing is saved.
    """
    # The process that writes knows what it takes; the others only hand over their parts.
    due = accelerator.is_main_process and checkpoints.due
    stopping, due = any_process(accelerator, termination.requested, due)
    # The last state too: what is killed before its output is safe ends again without training.
    if stopping or due or state.step == steps:
        finiteness.check_losses()
        finiteness.check_weights(state)
        checkpoints.save(state, accelerator)
    if stopping:
        message = f"stopped at step {state.step}; the same command goes on from there"
        accelerator.print(message, file=sys.stderr)
        sys.exit(EXIT_CODE)


def update(state: TrainingState, accelerator: Accelerator, max_grad_norm: float) -> None:
    """One step of the optimiser, its schedule and the average."""
    accelerator.clip_grad_norm_(state.model.parameters(), max_grad_norm)
    state.optimizer.step()
    state.schedule.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.update_average()
    state.step += 1


def samples_bar(state: TrainingState, params: TrainParams, name: str) -> tqdm[Any]:
    """Counts samples."""
    return progress_bar(
        params.steps * params.batch_size,
        name,
        "samples",
        done=state.step * params.batch_size,
    )


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether a step is one of every so many, or the last."""
    return step % every == 0 or step == steps


def watch_average(state: TrainingState, watch: Watch) -> None:
    """Looks at the model while it holds its average."""
    with state.average_in_model():
        state.model.eval()
        watch(state.step)
        forget_gathered(state.model)
        state.model.train()
