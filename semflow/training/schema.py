"""Blocks `train` and `inference`: optimisation, and what a checkpoint does by default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semflow.params.fields import (
    Block,
    Fraction,
    NonNegative,
    Part,
    Positive,
    PositiveFloat,
    Seed,
)

Beta = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=3e38)]
"""Within float32, which the weights are updated in."""


class OptimiserParams(Part):
    """What every model that is trained beside the flow takes from the block `train`."""

    seed: Seed
    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="samples a step over all processes")
    schedule: Literal["constant", "linear", "cosine"] = Field(description="after warm-up")
    warmup_steps: NonNegative
    adam_betas: tuple[Beta, Beta]
    weight_decay: float = Field(ge=0)
    max_grad_norm: PositiveFloat
    ema_decay: Fraction = Field(
        description="of the weights' average that a checkpoint holds; 0: the weights themselves"
    )
    mixed_precision: Literal["no", "bf16", "fp16"]
    sample_every: Positive = Field(description="steps between sample grids")
    log_every: Positive = Field(description="steps between log lines")


class TrainParams(OptimiserParams, Block):
    """The whole block: optimisation of the velocity field."""

    learning_rate: LearningRate


class InferenceParams(Block):
    """What a checkpoint does when it is not told otherwise."""

    solver: str = Field(
        description="of a fixed number of steps, one of the formulation's; dopri5 where it is named"
    )
    last_step_from: float | None = Field(
        gt=0, lt=1, description="where the last step to the mask starts; null: where the grid says"
    )
    grid_power: PositiveFloat = Field(
        description="p of the solver's times t_i = (i / steps) ** p; above 1: denser at the image"
    )
    tolerance: PositiveFloat = Field(description="absolute and relative, of dopri5")
    segment_steps: Positive = Field(description="solver steps from image to mask")
    synthesize_steps: Positive = Field(description="solver steps from mask to image")
