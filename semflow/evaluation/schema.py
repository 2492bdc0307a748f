"""Block `evaluate`: what is measured, on what."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semflow.core.errors import UserError
from semflow.params.fields import Block, Positive, Seed, StageParams

LEAST_SAMPLES = 4
"""Samples of a split that can be evaluated: two sets of real images, and a distance takes two of
each."""

Steps = Annotated[tuple[Positive, ...], Field(min_length=1)]


class ProtocolParams(Block):
    """FID, KID and LPIPS proper, whose weights are the user's own copies: docs/protocols.md."""

    preset: Literal["paper", "sis256", "samples50k"]
    inception: str = Field(description="path of the Inception weights that FID is defined by")
    lpips: str = Field(description="path of the AlexNet weights that LPIPS is defined by")


class EvaluateParams(Block):
    """Both directions over a held-out split."""

    split: Literal["val", "test"] = Field(
        description="test for figures that are stated, val for choices between settings"
    )
    seed: Seed
    samples: Positive = Field(description="of the split, spread evenly; all where fewer exist")
    reference: Literal["own", "other"] = Field(
        description="real images compared with: the labels' own (the field's habit), or those of "
        "the other one of val and test"
    )
    batch_size: Positive
    upsampling: Literal["nearest", "bilinear"] = Field(
        description="to the raw label's size: of the label ids, or of the scores of each class"
    )
    segmentation_steps: Steps = Field(description="numbers of solver steps, beside the default's")
    synthesis_steps: Steps = Field(description="numbers of solver steps, beside the default's")
    adaptive: bool = Field(description="whether dopri5 is measured beside the numbers of steps")
    diversity_samples: int = Field(ge=2, description="syntheses of one label, for diversity")
    diversity_labels: Positive = Field(description="labels that diversity is measured on")
    diagnosis_samples: Positive = Field(
        description="tested samples, spread evenly, that the diagnosis is made on"
    )
    protocol: ProtocolParams | None = Field(
        description="null: none of them, and nothing in their place"
    )

    @model_validator(mode="after")
    def _fill_two_sets(self) -> Self:
        least = LEAST_SAMPLES if self.reference == "own" else LEAST_SAMPLES // 2
        if self.samples < least:
            raise ValueError(
                f"samples is {self.samples}, too few for a distance between two sets of real "
                f"images; with {self.reference} references give {least} or more"
            )
        return self


class EvaluateStage(StageParams):
    """What stage `evaluate` reads."""

    evaluate: EvaluateParams


def other_split(split: str) -> str:
    """The held-out split that is not tested."""
    return {"val": "test", "test": "val"}[split]


def check_enough_samples(available: int, split: str) -> None:
    """Whether a split can be evaluated; to be asked before anything is trained or computed.

    Args:
        available: Samples that the split has.
        split: Its name.

    Raises:
        UserError: They are too few.
    """
    if available < LEAST_SAMPLES:
        raise UserError(
            f"split {split} has {available} samples, evaluation compares sets of 2 or more real "
            f"images; give it {LEAST_SAMPLES} or more"
        )
