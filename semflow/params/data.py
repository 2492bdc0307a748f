"""Blocks about data: shards, the palette and latents computed ahead."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import (
    Block,
    Color,
    Fraction,
    NonNegative,
    Positive,
    Rate,
    Seed,
)


class Crops(Block):
    """Windows of the training size's shape, as large as fits, at random places.

    They are drawn once, when shards are made: every epoch sees the same ones.
    """

    per_image: Positive
    seed: Seed


class Shards(Block):
    """How checked samples become WebDataset tars."""

    image_size: tuple[Positive, Positive] = Field(description="height and width, pixels")
    image_filter: Literal["bilinear", "bicubic", "lanczos"] = Field(
        description="how images are resized; labels take their nearest pixel"
    )
    crops: Crops | None = Field(description="of the train split; null: whole images, squeezed")
    samples_per_shard: Positive = Field(description="of the index; each may give several crops")


ClassOrder = Annotated[
    tuple[NonNegative, ...],
    Field(description="class c takes the scheme's colour class_order[c]; empty: colour c"),
]


class Colors(Block):
    """What every palette has beside its anchors."""

    class_order: ClassOrder
    ignore_color: Color
    amplitude: float = Field(ge=0, description="beta in Eq. 14, grey levels")
    noise_cell: Positive = Field(description="side of a cell of the coarse noise, pixels")
    noise_share: Fraction = Field(description="of the amplitude that is coarse; the paper: 0")


class BaseKPalette(Colors):
    """Anchors counted in base k with spacing s (Eq. 7)."""

    scheme: Literal["base_k"]
    k: Positive = Field(description="divisions of the colour range, Eq. 7")
    spacing: Rate = Field(description="s in Eq. 7, grey levels")


class SpreadPalette(Colors):
    """Anchors as far from each other as the RGB cube allows."""

    scheme: Literal["spread"]


PaletteParams = Annotated[BaseKPalette | SpreadPalette, Field(discriminator="scheme")]


class Latents(Block):
    """How latents are computed ahead of training."""

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
