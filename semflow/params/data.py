"""Blocks about data: the index, shards, the palette and latents computed ahead."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import (
    Block,
    Color,
    Fraction,
    Latitude,
    NonNegative,
    Positive,
    Rate,
    Seed,
)


class SplitStride(Block):
    """Distance between neighbouring tiles, in pixels of the imagery, for each split."""

    train: Positive
    val: Positive


class EarthIndex(Block):
    """How the planet is cut into tiles and split by longitude."""

    reader: Literal["earth"]
    tile_size: Positive = Field(description="side of a tile, pixels (1 pixel = 1/15 degree)")
    stride: SplitStride
    mode_filter: Positive = Field(description="odd side of the majority window, pixels")
    latitudes: tuple[Latitude, Latitude] = Field(description="southern and northern bound, degrees")
    min_land: Fraction = Field(description="least share of a tile that is not water")
    block_degrees: Positive = Field(description="width of a longitude block, degrees")
    hold_out_every: int = Field(ge=2, description="blocks 0, n, 2n, ... are the val split")
    gap: NonNegative = Field(description="pixels left out at both edges of a held-out block")
    max_rejects: NonNegative = Field(description="samples that may be unreadable")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.latitudes[0] >= self.latitudes[1]:
            raise ValueError(f"latitudes go from south to north, got {self.latitudes}")
        if self.mode_filter % 2 == 0:
            raise ValueError(f"mode_filter must be odd, got {self.mode_filter}")
        return self


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
