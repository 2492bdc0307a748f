"""Block `report`: what the HTML page shows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from semflow.params.fields import Block, Positive, Seed, StageParams


class ReportParams(Block):
    """The samples of the page."""

    examples: Positive = Field(description="samples of the tested split shown")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        description="of the syntheses shown for each"
    )


class ReportStage(StageParams):
    """What stage `report` reads."""

    report: ReportParams
