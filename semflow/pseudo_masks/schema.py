"""Blocks `palette` (Eq. 7) and `noise` (Eq. 14)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
    k: Positive = Field(description="divisions of the colour range, Eq. 7")
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
    cell: Positive = Field(description="distance of the coarse noise's grid points, pixels")
    share: Fraction = Field(description="of the amplitude that is coarse; the paper: 0")


class PseudoMasksStage(StageParams):
    """What stage `pseudo_masks` reads."""

    palette: PaletteParams
