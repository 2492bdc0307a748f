"""What stage `train` reads; apart from the schema of `train`, which the baselines share."""

from __future__ import annotations

from semflow.formulations.schema import FlowParams
from semflow.params.fields import StageParams
from semflow.pseudo_masks.schema import NoiseParams
from semflow.training.schema import InferenceParams, TrainParams


class TrainStage(StageParams):
    """What stage `train` reads."""

    noise: NoiseParams
    flow: FlowParams
    train: TrainParams
    inference: InferenceParams
