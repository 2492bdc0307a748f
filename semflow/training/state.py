"""Everything that a training step changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from semflow.params.learning import Train


@dataclass
class TrainingState:
    """A model on its way.

    Args:
        model: in float32.
        optimizer: of its parameters.
        schedule: of the optimizer's learning rate.
        average: exponential moving average of its parameters.
        scaler: of the loss, where the precision is fp16.
        step: steps done so far.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    average: EMAModel
    scaler: torch.amp.GradScaler | None = None
    step: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Tensors and plain values only; every random draw follows from the step."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "step": self.step,
        }

    def load_dict(self, values: dict[str, Any]) -> None:
        """The inverse of `to_dict`, in place."""
        self.model.load_state_dict(values["model"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.schedule.load_state_dict(values["schedule"])
        self.average.load_state_dict(values["average"])
        if self.scaler is not None:
            self.scaler.load_state_dict(values["scaler"])
        self.step = values["step"]

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.schedule.get_last_lr()[0])


_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def new_state(model: nn.Module, params: Train) -> TrainingState:
    """A model before its first step."""
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
    average = EMAModel(
        model.parameters(),
        decay=params.ema_decay,
        use_ema_warmup=True,
        inv_gamma=1.0,
        power=0.9,
        foreach=True,
    )
    return TrainingState(model, optimizer, schedule, average)
