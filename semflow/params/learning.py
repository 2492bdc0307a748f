"""Blocks about learning: the flow, its optimisation, and what a checkpoint does by default."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import Block, Fraction, NonNegative, Positive, Rate, Seed
from semflow.params.networks import NetworkShape


class Preconditioning(Block):
    """The closed-form part of the velocity, and the scale of what is left to the backbone."""

    samples: Positive = Field(description="of the training order, to estimate covariances from")
    loss_power: Fraction = Field(description="residuals are divided by their scale to this power")


class Flow(Block):
    """What is learned: the path, where t is drawn, and the terms of the loss."""

    formulation: Literal["semflow"]
    probability_at_image: Fraction = Field(description="share of draws with t = 0 exactly")
    probability_at_mask: Fraction = Field(description="share of draws with t = 1 exactly")
    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")
    ignored: Literal["supervised", "masked"] = Field(
        description="pixels without a class: a colour like any other, or out of the loss"
    )
    preconditioning: Preconditioning | None = Field(description="null: the backbone alone")
    velocity_loss_weight: Rate = Field(description="of Eq. 10")
    anchor_loss_weight: float = Field(ge=0, description="of the cross-entropy over anchors")
    anchor_temperature: Rate = Field(description="of that cross-entropy, squared [-1, 1] units")

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if (total := self.probability_at_image + self.probability_at_mask) > 1:
            raise ValueError(f"probability_at_image + probability_at_mask = {total:g} exceeds 1")
        if self.anchor_loss_weight > 0 and self.probability_at_image == 0:
            raise ValueError("the anchor loss is asked at t = 0; raise probability_at_image")
        return self


class Train(Block):
    """Optimisation of the velocity field."""

    seed: Seed
    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="samples a step over all processes")
    learning_rate: Rate
    schedule: Literal["constant", "linear", "cosine"] = Field(description="after warm-up")
    warmup_steps: NonNegative
    adam_betas: tuple[Fraction, Fraction]
    weight_decay: float = Field(ge=0)
    max_grad_norm: Rate
    ema_decay: Fraction
    mixed_precision: Literal["no", "bf16", "fp16"]
    sample_every: Positive = Field(description="steps between sample grids")
    log_every: Positive = Field(description="steps between log lines")


class Inference(Block):
    """What a checkpoint does when it is not told otherwise."""

    solver: Literal["euler", "heun", "midpoint"]
    segment_steps: Positive = Field(description="solver steps from image to mask")
    synthesize_steps: Positive = Field(description="solver steps from mask to image")


class Baseline(Block):
    """The discriminative U-Net beside the flow, which learns from as many samples."""

    network: NetworkShape | None = Field(description="null: the shape of the flow's backbone")
    seed: Seed = Field(description="of its first weights")
    learning_rate: Rate
