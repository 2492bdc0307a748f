"""What image latents depend on: a part of the block `latents`."""

from __future__ import annotations

from pydantic import Field

from semflow.params.fields import Part, Positive, StageParams


class EncodingParams(Part):
    """The part of the block that image latents depend on."""

    batch_size: Positive = Field(description="images encoded at once; part of the result's bytes")


class ImageLatentsStage(StageParams):
    """What stage `image_latents` reads."""

    latents: EncodingParams
