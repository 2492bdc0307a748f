"""Block `baseline`: the discriminative U-Net and the colour classifier beside the flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semflow.networks.schema import NetworkShape
from semflow.params.fields import Block, Part, Positive, Seed, StageParams
from semflow.training.schema import LearningRate, OptimiserParams


class BaselineParams(Block):
    """The discriminative U-Net, which learns from as many samples as the flow."""

    network: NetworkShape | None = Field(description="null: the shape of the flow's backbone")
    seed: Seed = Field(description="of its first weights")
    learning_rate: LearningRate
    color_blur: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1,
        description="deviations, pixels, of the colour classifier's blur; val chooses one",
    )


class StatisticsParams(Part):
    """The part of the flow's preconditioning that says what scales are estimated from."""

    samples: Positive = Field(description="of the training order")


class ImageEndParams(Part):
    """The part of the block `flow` that says what an image's latents are in training."""

    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")
    standardise_ends: bool = Field(description="both ends to deviation 1 in each channel")
    preconditioning: StatisticsParams | None = Field(description="null: the backbone alone")

    @property
    def input_is_scaled(self) -> bool:
        """Whether the flow's network sees anything else than latents as they are."""
        return self.standardise_ends or self.preconditioning is not None


class BaselineStage(StageParams):
    """What stage `baseline` reads: the flow's images and all of `train` but its learning rate."""

    baseline: BaselineParams
    flow: ImageEndParams
    train: OptimiserParams
