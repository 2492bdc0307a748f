"""Block `index`: which reader opens the raw tree, and what it needs to know."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from semflow.params.fields import (
    Block,
    Color,
    Fraction,
    Latitude,
    NonNegative,
    Positive,
    Seed,
    StageParams,
)

MaxRejects = Annotated[int, Strict(), Field(ge=0, description="samples that may be unreadable")]
ValEvery = Annotated[
    int, Strict(), Field(ge=2, description="images 0, n, 2n, ... of the train list are val")
]
LabelId = Annotated[int, Strict(), Field(ge=0, le=255)]
IgbpId = Annotated[int, Strict(), Field(ge=0, le=16)]
IGBP_WATER = 0
"""Of the land cover's 17 classes that which is no land."""


class SplitStride(Block):
    """Distance between neighbouring tiles, in pixels of the imagery, for each split."""

    train: Positive
    val: Positive
    test: Positive


class EarthClass(Block):
    """A class of Earth, merged from classes of the land cover."""

    name: str = Field(min_length=1)
    color: Color = Field(description="for pictures, not for the flow")
    igbp: tuple[IgbpId, ...] = Field(min_length=1, description="of the scheme's 17: docs/earth.md")


class EarthIndex(Block):
    """How the planet is cut into tiles and split by longitude."""

    reader: Literal["earth"]
    classes: tuple[EarthClass, ...] = Field(description="each of the land cover's 17 is in one")
    tile_size: Positive = Field(description="side of a tile, pixels (1 pixel = 1/15 degree)")
    stride: SplitStride
    mode_filter: Positive = Field(description="odd side of the majority window, pixels")
    latitudes: tuple[Latitude, Latitude] = Field(description="southern and northern bound, degrees")
    min_land: Fraction = Field(description="least share of a tile that is not water")
    block_degrees: Positive = Field(description="width of a longitude block, degrees")
    hold_out_every: int = Field(
        ge=2, description="blocks 0, n, 2n, ... are held out; the 2nd, 5th, ... of them are val"
    )
    gap: NonNegative = Field(description="pixels left out at both edges of a held-out block")
    max_rejects: MaxRejects

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.latitudes[0] >= self.latitudes[1]:
            raise ValueError(f"latitudes go from south to north, got {self.latitudes}")
        if self.mode_filter % 2 == 0:
            raise ValueError(f"mode_filter must be odd, got {self.mode_filter}")
        return self

    @model_validator(mode="after")
    def _divides_the_land_cover(self) -> Self:
        _refuse_repeated("class", [one.name for one in self.classes])
        merged = [igbp for one in self.classes for igbp in one.igbp]
        _refuse_repeated("igbp class", merged)
        if missing := sorted(set(range(17)) - set(merged)):
            raise ValueError(f"igbp classes {missing} are in no class; add them to one")
        if self.classes[self.water].igbp != (IGBP_WATER,):
            raise ValueError(
                f"class {self.classes[self.water].name!r} merges water with land, which min_land "
                f"tells apart; give igbp class {IGBP_WATER} a class of its own"
            )
        return self

    @property
    def water(self) -> int:
        """The id of the class that is no land."""
        return next(i for i, one in enumerate(self.classes) if IGBP_WATER in one.igbp)


class SplitSamples(Block):
    """Number of samples of each split."""

    train: Positive
    val: Positive
    test: Positive


class RobotsIndex(Block):
    """How many robots are composed, and how they lie in their images."""

    reader: Literal["robots"]
    samples: SplitSamples
    size: Positive = Field(description="side of image and label, pixels; the layers have 300")
    seed: Seed
    max_across: float = Field(ge=0, le=0.25, description="to either side, in sides of the image")
    down: tuple[float, float] = Field(
        description="from, to: lower edge below the image's, in sides of the image"
    )
    scale: tuple[float, float] = Field(
        description="from, to: side of the layers, in sides of the image"
    )
    max_rejects: MaxRejects

    @model_validator(mode="after")
    def _fills_the_image(self) -> Self:
        # Never upward: a body ends where the layers end, and would hang in the air.
        if not 0 <= self.down[0] <= self.down[1] or not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"down goes from 0 or more upward, got {self.down}; "
                f"scale from above 0 upward, got {self.scale}"
            )
        return self


class CityscapesIndex(Block):
    """Cityscapes, fine annotations; its val split is test, and val is held out of train."""

    reader: Literal["cityscapes"]
    val_every: ValEvery
    max_rejects: MaxRejects


class CelebAMaskHQIndex(Block):
    """CelebAMask-HQ, and which of the splits in use; the last part is always test."""

    reader: Literal["celebamask_hq"]
    split: Literal["official", "first_28000", "first_27000"] = Field(
        description="official: by the image's number in CelebA; else the first images train"
    )
    val_every: ValEvery | None = Field(
        description="without the official split: images 0, n, 2n, ... of train are val; else null"
    )
    max_rejects: MaxRejects

    @model_validator(mode="after")
    def _has_one_val_split(self) -> Self:
        if self.split == "official" and self.val_every is not None:
            raise ValueError("split official has its own val part; set val_every: null")
        if self.split != "official" and self.val_every is None:
            raise ValueError(
                f"split {self.split} has a train and a test part only; set val_every, such as 20"
            )
        return self


class CocoStuffIndex(Block):
    """COCO-Stuff 164k; its val split is test, and val is held out of train."""

    reader: Literal["coco_stuff"]
    val_every: ValEvery
    max_rejects: MaxRejects


class FolderClass(Block):
    """A class of a user's own data set."""

    name: str = Field(min_length=1)
    color: Color = Field(description="for pictures, not for the flow")
    id: LabelId = Field(description="in the label files")


class FolderIndex(Block):
    """A user's own images: `{train,val,test}/images` and `.../labels`; test may be absent."""

    reader: Literal["folder"]
    # 255 is the ignored pixels' id beside the classes'.
    classes: tuple[FolderClass, ...] = Field(min_length=1, max_length=255)
    mirrored: tuple[tuple[str, str], ...] = Field(
        description="pairs of classes that a flip left to right swaps"
    )
    ignore_ids: tuple[LabelId, ...] = Field(description="ids in the label files without a class")
    background: str | None = Field(description="a class that some protocols leave out of the mean")
    max_rejects: MaxRejects

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [one.name for one in self.classes]
        _refuse_repeated("class", names)
        _refuse_repeated("label id", [one.id for one in self.classes] + list(self.ignore_ids))
        swapped = [name for pair in self.mirrored for name in pair]
        _refuse_repeated("mirrored class", swapped)
        for name in [*swapped, *([] if self.background is None else [self.background])]:
            if name not in names:
                raise ValueError(f"no class is named {name!r}; known are {', '.join(names)}")
        return self


def _refuse_repeated(what: str, values: list[str] | list[int]) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{what} {value!r} is there twice")


IndexParams = Annotated[
    EarthIndex | RobotsIndex | CityscapesIndex | CelebAMaskHQIndex | CocoStuffIndex | FolderIndex,
    Field(discriminator="reader"),
]


class IndexStage(StageParams):
    """What stage `index` reads."""

    index: IndexParams
