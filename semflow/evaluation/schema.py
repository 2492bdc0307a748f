"""Block `evaluate`: what is measured, on what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semflow.params.fields import Block, Positive, Seed, StageParams

Steps = Annotated[tuple[Positive, ...], Field(min_length=1)]


class ProtocolParams(Block):
    """FID, KID and LPIPS proper, whose weights are the user's own copies: docs/protocols.md."""

    preset: Literal["paper", "sis256", "samples50k"]
    inception: str = Field(description="path of the Inception weights that FID is defined by")
    lpips: str = Field(description="path of the AlexNet weights that LPIPS is defined by")


class EvaluateParams(Block):
    """Both directions over the val split."""

    seed: Seed
    samples: Positive = Field(description="val samples, spread evenly; all where fewer exist")
    reference: Literal["own", "other"] = Field(
        description="real images compared with: the labels' own (the field's habit), or others"
    )
    batch_size: Positive
    upsampling: Literal["nearest", "bilinear"] = Field(
        description="to the raw label's size: of the label ids, or of the scores of each class"
    )
    segmentation_steps: Steps = Field(description="numbers of solver steps, beside the default's")
    synthesis_steps: Steps = Field(description="numbers of solver steps, beside the default's")
    diversity_samples: int = Field(ge=2, description="syntheses of one label, for diversity")
    diversity_labels: Positive = Field(description="labels that diversity is measured on")
    protocol: ProtocolParams | None = Field(
        description="null: none of them, and nothing in their place"
    )


class EvaluateStage(StageParams):
    """What stage `evaluate` reads."""

    evaluate: EvaluateParams
