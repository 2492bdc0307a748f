"""Types that the blocks of params.yaml are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

Positive = Annotated[int, Strict(), Field(ge=1)]
NonNegative = Annotated[int, Strict(), Field(ge=0)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
PositiveFloat = Annotated[float, Field(gt=0)]
Color = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]


class Part(BaseModel):
    """Some keys of a group of parameters: the others are read elsewhere."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Block(BaseModel):
    """A group of parameters: immutable, and no key beside the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageParams(Part):
    """The groups of a data set's block that one stage reads; dvc.yaml declares the same."""
