"""What stage `train` reads; apart from the schema of `train`, which the baselines share."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from semflow.formulations.schema import FlowParams, check_solver
from semflow.params.fields import StageParams
from semflow.pseudo_masks.schema import NoiseParams
from semflow.training.schema import InferenceParams, TrainParams


class TrainStage(StageParams):
    """What stage `train` reads."""

    noise: NoiseParams
    flow: FlowParams
    train: TrainParams
    inference: InferenceParams

    @model_validator(mode="after")
    def _solves_what_it_learns(self) -> Self:
        check_solver(self.flow.formulation, self.inference.solver)
        return self
