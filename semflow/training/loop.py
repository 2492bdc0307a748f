"""The optimisation loop: the same for the velocity field and for the discriminative baseline."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from semflow.core.errors import UserError
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import micro_batch
from semflow.training.fsdp import forget_gathered, own_parts
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.state import TrainingState, new_state
from semflow.training.termination import EXIT_CODE, Termination, any_process, noted_termination

LossOf = Callable[[nn.Module, TrainingSample], dict[str, Tensor]]
"""Scalars of a batch by name; "loss" is the one that is minimised."""


class Log(Protocol):
    """Where values go; a TrainingLog."""

    def start(self, step: int) -> None:
        """Begins after so many steps; what was logged of later ones will come again."""
        ...

    def add(self, step: int, values: dict[str, float]) -> None:
        """Takes the values of one step."""
        ...


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
            finite after the last step; or the batch cannot be shared by the processes and their
            micro-batches.
    """
    state = new_state(model, params, accelerator)
    checkpoints.restore(state)
    if state.step:
        said = f"{progress.name}: resumed at step {state.step}"
        accelerator.print(said, file=sys.stderr, flush=True)
    if accelerator.is_main_process:
        progress.log.start(state.step)
    with (
        noted_termination() as termination,
        progress_bar(state, params, accelerator, progress) as bar,
    ):
        for parts in steps_to_come(samples, params, accelerator, state.step):
            values = learn(loss_of, parts, state, samples, accelerator, progress.name)
            update(state, accelerator, params.max_grad_norm)
            bar.update(params.batch_size)
            if is_due(state.step, params.log_every, params.steps):
                log_values(values, state, accelerator, progress.log, bar)
            if state.step == params.steps:
                check_finite_weights(state, params, accelerator, progress.name)
            if is_due(state.step, params.sample_every, params.steps):
                watch_average(state, progress.watch)
            save_or_stop(state, params.steps, accelerator, checkpoints, termination)
    return state.averaged()


def learn(
    loss_of: LossOf,
    parts: list[TrainingSample],
    state: TrainingState,
    samples: TrainingSamples,
    accelerator: Accelerator,
    name: str,
) -> dict[str, Tensor]:
    """Leaves the gradients of one step in the model; returns the mean of its parts' values."""
    found = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        # Processes exchange gradients once a step, not once a part.
        with nullcontext() if last else accelerator.no_sync(state.network):
            values = loss_of(state.network, part)
            _check_finite(values["loss"], state, samples, part, name)
            accelerator.backward(values["loss"] / len(parts))
        found.append({key: value.detach() for key, value in values.items()})
    return {key: torch.stack([values[key] for values in found]).mean() for key in found[0]}


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
    bar.set_postfix({name: f"{value:.4f}" for name, value in numbers.items()})


def save_or_stop(
    state: TrainingState,
    steps: int,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
    termination: Termination,
) -> None:
    """Leaves a state where one is due or asked for.

    Raises:
        SystemExit: After a SIGTERM, once the state is saved.
    """
    stopping, due = any_process(accelerator, termination.requested, checkpoints.due)
    # The last state too: what is killed before its output is safe ends again without training.
    if stopping or due or state.step == steps:
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
    state.average.step(own_parts(state.model.parameters()))
    state.step += 1


def progress_bar(
    state: TrainingState, params: TrainParams, accelerator: Accelerator, progress: Progress
) -> tqdm[Any]:
    """Counts samples, on the main process alone."""
    return tqdm(
        total=params.steps * params.batch_size,
        initial=state.step * params.batch_size,
        desc=progress.name,
        unit=" samples",
        mininterval=5,
        disable=not accelerator.is_main_process,
    )


def is_due(step: int, every: int, steps: int) -> bool:
    """Whether a step is one of every so many, or the last."""
    return step % every == 0 or step == steps


def steps_to_come(
    samples: TrainingSamples, params: TrainParams, accelerator: Accelerator, steps_done: int
) -> Iterator[list[TrainingSample]]:
    """This process's share of each step to come, in parts of equal size."""
    share = params.batch_size // accelerator.num_processes
    part = micro_batch(params.batch_size, accelerator.num_processes)
    first = steps_done * params.batch_size + accelerator.process_index * share
    starts = range(first, params.steps * params.batch_size, params.batch_size)
    loader: DataLoader[Any] = DataLoader(samples, batch_sampler=_Parts(starts, share, part))
    parts = (
        TrainingSample(**{k: v.to(accelerator.device) for k, v in batch.items()})  # type: ignore[typeddict-item]
        for batch in loader
    )
    for _ in starts:
        yield list(islice(parts, share // part))


@dataclass(frozen=True)
class _Parts:
    """Positions of all parts of all steps, made when they are asked for."""

    starts: range
    share: int
    part: int

    def __iter__(self) -> Iterator[list[int]]:
        for start in self.starts:
            for begin in range(start, start + self.share, self.part):
                yield list(range(begin, begin + self.part))


def _check_finite(
    loss: Tensor, state: TrainingState, samples: TrainingSamples, batch: TrainingSample, name: str
) -> None:
    if math.isfinite(float(loss.detach())):
        return
    keys = [samples.key(int(index)) for index in batch["index"]]
    shown = ", ".join(keys[:8]) + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
    raise UserError(
        f"the loss is {float(loss.detach())} at step {state.step + 1}, "
        f"learning rate {state.learning_rate:g}; lower {name}.learning_rate, "
        f"or look at the batch: {shown}"
    )


def check_finite_weights(
    state: TrainingState, params: TrainParams, accelerator: Accelerator, name: str
) -> None:
    """The last update has no later loss that would show what it did to the weights."""
    finite = all(bool(part.isfinite().all()) for part in state.average.shadow_params)
    (diverged,) = any_process(accelerator, not finite)
    if diverged:
        raise UserError(
            f"the weights are not finite after step {state.step}, learning rate "
            f"{params.learning_rate:g}; lower {name}.learning_rate"
        )


def watch_average(state: TrainingState, watch: Watch) -> None:
    """Looks at the model while it holds its average."""
    parameters = own_parts(state.model.parameters())
    state.average.store(parameters)
    state.average.copy_to(parameters)
    state.model.eval()
    watch(state.step)
    forget_gathered(state.model)
    state.model.train()
    state.average.restore(parameters)
