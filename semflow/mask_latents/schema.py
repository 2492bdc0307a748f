"""Block `latents`: how latents are computed ahead of training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import Block, Positive, Seed, StageParams
from semflow.pseudo_masks.schema import NoiseParams


class LatentParams(Block):
    """The whole block."""

    batch_size: Positive = Field(description="images encoded at once; part of the result's bytes")
    mask_noise: Literal["online", "variants", "moments"] = Field(
        description="how Eq. 14 meets the cache"
    )
    mask_draws: Positive = Field(
        description="of the noise: stored (variants) or estimated from (moments); online: unused"
    )
    seed: Seed = Field(description="of those draws")

    @model_validator(mode="after")
    def _has_a_deviation(self) -> Self:
        if self.mask_noise == "moments" and self.mask_draws < 2:
            raise ValueError("a standard deviation needs latents.mask_draws of at least 2, got 1")
        return self


class MaskLatentsStage(StageParams):
    """What stage `mask_latents` reads."""

    latents: LatentParams
    noise: NoiseParams
