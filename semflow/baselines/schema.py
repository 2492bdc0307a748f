"""Block `baseline`: the discriminative U-Net beside the flow."""

from __future__ import annotations

from pydantic import Field

from semflow.networks.schema import NetworkShape
from semflow.params.fields import Block, PositiveFloat, Seed, StageParams
from semflow.training.schema import OptimiserParams


class BaselineParams(Block):
    """The discriminative U-Net, which learns from as many samples as the flow."""

    network: NetworkShape | None = Field(description="null: the shape of the flow's backbone")
    seed: Seed = Field(description="of its first weights")
    learning_rate: PositiveFloat


class BaselineStage(StageParams):
    """What stage `baseline` reads: of `train` all but the flow's own learning rate."""

    baseline: BaselineParams
    train: OptimiserParams
