"""The optimisation loop: the same for the velocity field and for the discriminative baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from semflow.errors import UserError
from semflow.params import Train
from semflow.training.samples import TrainingSample, TrainingSamples

LossOf = Callable[[nn.Module, TrainingSample], dict[str, Tensor]]
"""Scalars of a batch by name; "loss" is the one that is minimised."""

Watch = Callable[[int, nn.Module], None]
"""Called with the step and the averaged model, on the main process, every `sample_every` steps."""


def watch_nothing(_step: int, _model: nn.Module) -> None:
    """For a model that no one looks at while it trains."""


@dataclass(frozen=True)
class Progress:
    """Where the loop reports to.

    Args:
        name: stands before the progress bar.
        log: receives (step, values) every `log_every` steps.
        watch: looks at the averaged model now and then.
    """

    name: str
    log: Callable[[int, dict[str, float]], None]
    watch: Watch


def optimise(
    model: nn.Module,
    loss_of: LossOf,
    samples: TrainingSamples,
    params: Train,
    accelerator: Accelerator,
    progress: Progress,
) -> None:
    """Trains a model in place and leaves its exponential moving average in it.

    Args:
        model: in float32, which it stays: only the forward pass is autocast.
        loss_of: the loss of a batch.
        samples: by position; step i takes positions i*B .. (i+1)*B - 1.
        params: B and everything else about the optimisation.
        accelerator: spreads the work.
        progress: where to report.

    Raises:
        UserError: the loss is not finite, with step, learning rate and keys.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=params.learning_rate,
        betas=params.adam_betas,
        weight_decay=params.weight_decay,
    )
    schedule = get_scheduler(
        _SCHEDULES[params.schedule],
        optimizer,
        num_warmup_steps=params.warmup_steps,
        num_training_steps=params.steps,
    )
    wrapped = accelerator.prepare_model(model)
    average = EMAModel(
        model.parameters(), decay=params.ema_decay, use_ema_warmup=True, inv_gamma=1.0, power=0.9
    )
    bar = tqdm(
        total=params.steps * params.batch_size,
        desc=progress.name,
        unit=" samples",
        mininterval=5,
        disable=not accelerator.is_main_process,
    )
    for step, batch in enumerate(_batches(samples, params, accelerator)):
        with accelerator.autocast():
            values = loss_of(wrapped, batch)
        _check_finite(values["loss"], step, schedule.get_last_lr()[0], samples, batch)
        accelerator.backward(values["loss"])
        accelerator.clip_grad_norm_(model.parameters(), params.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        average.step(model.parameters())
        bar.update(params.batch_size)
        if _due(step, params.log_every, params.steps):
            numbers = {name: float(value.detach()) for name, value in values.items()}
            progress.log(step + 1, {**numbers, "learning_rate": schedule.get_last_lr()[0]})
            bar.set_postfix({name: f"{value:.4f}" for name, value in numbers.items()})
        if _due(step, params.sample_every, params.steps) and accelerator.is_main_process:
            _watch_average(model, average, step + 1, progress.watch)
    bar.close()
    average.copy_to(model.parameters())


_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def _due(step: int, every: int, steps: int) -> bool:
    return (step + 1) % every == 0 or step + 1 == steps


def _batches(
    samples: TrainingSamples, params: Train, accelerator: Accelerator
) -> Iterator[TrainingSample]:
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_size=params.batch_size,
        sampler=range(params.steps * params.batch_size),
    )
    for batch in loader:
        yield TrainingSample(**{k: v.to(accelerator.device) for k, v in batch.items()})  # type: ignore[typeddict-item]


def _check_finite(
    loss: Tensor, step: int, rate: float, samples: TrainingSamples, batch: TrainingSample
) -> None:
    if math.isfinite(float(loss.detach())):
        return
    keys = [samples.pixels.key(int(index)) for index in batch["index"]]
    raise UserError(
        f"the loss is {float(loss.detach())} at step {step + 1}, learning rate {rate:g}; "
        f"lower train.learning_rate, or look at the batch: {', '.join(keys[:8])}"
        + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
    )


def _watch_average(model: nn.Module, average: EMAModel, step: int, watch: Watch) -> None:
    average.store(model.parameters())
    average.copy_to(model.parameters())
    model.eval()
    watch(step, model)
    model.train()
    average.restore(model.parameters())
