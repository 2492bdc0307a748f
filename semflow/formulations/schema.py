"""Block `flow`: what is learned, where t is drawn, and the terms of the loss."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import Block, Fraction, Positive, PositiveFloat


class PreconditioningParams(Block):
    """The closed-form part of the velocity, and the scale of what is left to the backbone."""

    samples: Positive = Field(description="of the training order, to estimate covariances from")
    loss_power: Fraction = Field(description="residuals are divided by their scale to this power")


class FlowParams(Block):
    """What is learned: the path, where t is drawn, and the terms of the loss."""

    formulation: Literal["semflow"] = Field(description="a name in FORMULATIONS")
    probability_at_image: Fraction = Field(description="share of draws with t = 0 exactly")
    probability_at_mask: Fraction = Field(description="share of draws with t = 1 exactly")
    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")
    ignored: Literal["supervised", "masked"] = Field(
        description="pixels without a class: a colour like any other, or out of the loss"
    )
    preconditioning: PreconditioningParams | None = Field(description="null: the backbone alone")
    velocity_loss_weight: PositiveFloat = Field(description="of Eq. 10")
    anchor_loss_weight: float = Field(ge=0, description="of the cross-entropy over anchors")
    anchor_temperature: PositiveFloat = Field(
        description="of that cross-entropy, squared [-1, 1] units"
    )

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if (total := self.probability_at_image + self.probability_at_mask) > 1:
            raise ValueError(f"probability_at_image + probability_at_mask = {total:g} exceeds 1")
        if self.anchor_loss_weight > 0 and self.probability_at_image == 0:
            raise ValueError("the anchor loss is asked at t = 0; raise probability_at_image")
        return self
