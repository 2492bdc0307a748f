"""Block `baseline`: the discriminative U-Net beside the flow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from semflow.networks.schema import NetworkShape
from semflow.params.fields import Block, Part, PositiveFloat, Seed, StageParams
from semflow.training.schema import OptimiserParams


class BaselineParams(Block):
    """The discriminative U-Net, which learns from as many samples as the flow."""

    network: NetworkShape | None = Field(description="null: the shape of the flow's backbone")
    seed: Seed = Field(description="of its first weights")
    learning_rate: PositiveFloat


class ImageEndParams(Part):
    """The part of the block `flow` that says what an image's latents are in training."""

    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")


class BaselineStage(StageParams):
    """What stage `baseline` reads: the flow's images and all of `train` but its learning rate."""

    baseline: BaselineParams
    flow: ImageEndParams
    train: OptimiserParams
