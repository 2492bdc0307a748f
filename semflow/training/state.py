"""Everything that a training step changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.optim.lr_scheduler import LRScheduler

from semflow.training.fsdp import gathered, own_part, own_parts, prepare
from semflow.training.schema import TrainParams

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""By parameter name, gathered on the main process."""


@dataclass
class TrainingState:
    """A model on its way.

    Args:
        model: in float32; its parameters may be shards.
        network: what is called in the model's place, and exchanges gradients.
        optimizer: of its parameters, as accelerate wraps it.
        schedule: of the optimizer's learning rate.
        average: exponential moving average of its parameters; None where no step has a share in
            it but the last, and the parameters themselves are the average.
        scaler: of the loss, where the precision is fp16.
        step: steps done so far.
    """

    model: nn.Module
    network: nn.Module
    optimizer: Any
    schedule: LRScheduler
    average: EMAModel | None
    scaler: torch.amp.GradScaler | None = None
    step: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values only; every random draw follows from the step.

        The main process has them whole, however many processes share the parameters. All processes
        must call it.
        """
        model, optimizer = get_state_dict(self.model, self.optimizer.optimizer, options=WHOLE)
        return {
            "model": model,
            "optimizer": optimizer,
            "schedule": self.schedule.state_dict(),
            "average": self._whole_average(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "step": self.step,
        }

    def load_dict(self, values: dict[str, Any]) -> None:
        """The inverse of `to_dict`, in place; all processes must give the same values."""
        set_state_dict(
            self.model,
            self.optimizer.optimizer,
            model_state_dict=values["model"],
            optim_state_dict=values["optimizer"],
            options=WHOLE,
        )
        _lay_out_like_parameters(self.optimizer.optimizer)
        self.schedule.load_state_dict(values["schedule"])
        if self.average is not None:
            average = values["average"]
            parts = self._each(own_part, average)
            self.average.load_state_dict(average | {"shadow_params": parts})
        if self.scaler is not None:
            self.scaler.load_state_dict(values["scaler"])
        self.step = values["step"]

    def weights(self) -> list[Tensor]:
        """This process's part of all weights and of their average, as they lie in memory."""
        parts = own_parts(self.model.parameters())
        return parts if self.average is None else [*parts, *self.average.shadow_params]

    def update_average(self) -> None:
        """Takes the parameters after a step into their average."""
        if self.average is not None:
            self.average.step(own_parts(self.model.parameters()))

    @contextmanager
    def average_in_model(self) -> Iterator[None]:
        """The model holds its average for the length of the block, to be looked at."""
        if self.average is None:
            yield
            return
        parameters = own_parts(self.model.parameters())
        self.average.store(parameters)
        self.average.copy_to(parameters)
        yield
        self.average.restore(parameters)

    def averaged(self) -> dict[str, Tensor]:
        """Leaves the average in the model; returns its weights, whole on the main process.

        All processes must call it.
        """
        if self.average is not None:
            self.average.copy_to(own_parts(self.model.parameters()))
        weights: dict[str, Any] = get_model_state_dict(self.model, options=WHOLE)
        return weights

    def _whole_average(self) -> dict[str, Any] | None:
        if self.average is None:
            return None
        average: dict[str, Any] = self.average.state_dict()
        return average | {"shadow_params": self._each(gathered, average)}

    def _each(
        self, change: Callable[[Tensor, Tensor], Tensor], average: dict[str, Any]
    ) -> list[Tensor]:
        pairs = zip(average["shadow_params"], self.model.parameters(), strict=True)
        return [change(shadow, parameter) for shadow, parameter in pairs]

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.schedule.get_last_lr()[0])


def _lay_out_like_parameters(optimizer: torch.optim.Optimizer) -> None:
    # A fused optimizer goes through parameters and moments in the order of their memory, and a
    # state saved from shards is contiguous where a whole network's parameters are channels-last.
    for parameter, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == parameter.shape and moment.stride() != parameter.stride():
                moments[name] = torch.empty_like(parameter).copy_(moment)


_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def new_state(model: nn.Module, params: TrainParams, accelerator: Accelerator) -> TrainingState:
    """A model before its first step, spread over the accelerator's processes."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=params.learning_rate,
        betas=params.adam_betas,
        weight_decay=params.weight_decay,
        fused=True,
    )
    schedule = get_scheduler(
        _SCHEDULES[params.schedule],
        optimizer,
        num_warmup_steps=params.warmup_steps,
        num_training_steps=params.steps,
    )
    network, prepared = prepare(accelerator, model, optimizer)
    average = new_average(model, params.ema_decay) if params.ema_decay > 0 else None
    return TrainingState(model, network, prepared, schedule, average, accelerator.scaler)


def new_average(model: nn.Module, decay: float) -> EMAModel:
    """The average of a model's own parts before its first step, at a decay that warms up."""
    return EMAModel(
        own_parts(model.parameters()),
        decay=decay,
        use_ema_warmup=True,
        inv_gamma=1.0,
        power=0.9,
        foreach=True,
    )
