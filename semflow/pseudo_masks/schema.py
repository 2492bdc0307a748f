"""Blocks `palette` (Eq. 7) and `noise` (Eq. 14)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import (
    Block,
    Color,
    Fraction,
    NonNegative,
    Positive,
    PositiveFloat,
    StageParams,
)

ClassOrder = Annotated[
    tuple[NonNegative, ...],
    Field(description="class c takes the scheme's colour class_order[c]; empty: colour c"),
]


class BaseKPalette(Block):
    """Anchors counted in base k with spacing s (Eq. 7)."""

    scheme: Literal["base_k"]
    k: Positive = Field(le=256, description="divisions of the colour range, Eq. 7")
    spacing: PositiveFloat = Field(description="s in Eq. 7, grey levels")
    class_order: ClassOrder
    ignore_color: Color


class SpreadPalette(Block):
    """Anchors as far from each other as the RGB cube allows."""

    scheme: Literal["spread"]
    class_order: ClassOrder
    ignore_color: Color


PaletteParams = Annotated[BaseKPalette | SpreadPalette, Field(discriminator="scheme")]


class NoiseParams(Block):
    """The perturbation of pseudo-masks."""

    amplitude: float = Field(ge=0, description="beta in Eq. 14, grey levels")
    cells: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(
        description="distances of grid points, pixels; 1: independent pixels, the paper's only"
    )
    shares: tuple[Fraction, ...] = Field(description="of the amplitude, for each of the cells")
    latents: float = Field(
        ge=0, description="deviation of normal noise on the mask's latents; the paper: 0"
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if len(self.shares) != len(self.cells) or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(
                f"shares {list(self.shares)} must be as many as cells {list(self.cells)} "
                "and add up to 1"
            )
        return self


class PseudoMasksStage(StageParams):
    """What stage `pseudo_masks` reads."""

    palette: PaletteParams
