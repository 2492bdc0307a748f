"""Block `shards`: how checked samples become WebDataset tars."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from semflow.datasets.schema import IndexParams
from semflow.params.fields import Block, Positive, Seed, StageParams


class CropParams(Block):
    """Random windows with the proportions of the training size, as large as fits.

    They are drawn once, when shards are made: every epoch sees the same ones.
    """

    per_image: Positive
    seed: Seed


class ShardParams(Block):
    """Size, crops and packing of pixel shards."""

    image_size: tuple[Positive, Positive] = Field(description="height and width, pixels")
    image_filter: Literal["bilinear", "bicubic", "lanczos"] = Field(
        description="how images are resized; labels take their nearest pixel"
    )
    crops: CropParams | None = Field(description="of the train split; null: whole images, squeezed")
    samples_per_shard: Positive = Field(description="of the index; each may give several crops")


class ShardsStage(StageParams):
    """What stage `shards` reads."""

    index: IndexParams
    shards: ShardParams
