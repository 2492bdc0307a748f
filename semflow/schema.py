"""The whole of params.yaml: the blocks of all packages together. No key has a default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semflow.baselines.schema import BaselineParams
from semflow.core.errors import UserError
from semflow.datasets.readers import count_classes
from semflow.datasets.schema import IndexParams
from semflow.evaluation.schema import EvaluateParams
from semflow.formulations.schema import FlowParams, check_solver
from semflow.mask_latents.schema import LatentParams
from semflow.networks.schema import (
    AutoencoderParams,
    BackboneParams,
    ScratchAutoencoder,
    check_factor,
)
from semflow.params.fields import Block
from semflow.params.messages import describe_misfit, nearest_name
from semflow.params.reading import PARAMS_FILE, read_values
from semflow.pseudo_masks.palette import anchors_of
from semflow.pseudo_masks.schema import NoiseParams, PaletteParams
from semflow.report.schema import ReportParams
from semflow.shards.schema import ShardParams
from semflow.training.schema import InferenceParams, TrainParams

DATASET_NAME = "[a-z][a-z0-9_]*"


class DatasetParams(Block):
    """Everything that one data set's results depend on, from raw files to report."""

    index: IndexParams
    shards: ShardParams
    palette: PaletteParams
    noise: NoiseParams
    autoencoder: AutoencoderParams
    backbone: BackboneParams
    latents: LatentParams
    flow: FlowParams
    train: TrainParams
    inference: InferenceParams
    baseline: BaselineParams
    evaluate: EvaluateParams
    report: ReportParams

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> Self:
        anchors_of(self.palette, count_classes(self.index))
        # Others say their factor in a file that is read where they are.
        if isinstance(self.autoencoder, ScratchAutoencoder):
            try:
                check_factor(self.shards.image_size, self.autoencoder.patch_size)
            except UserError as error:
                raise ValueError(str(error)) from None
        check_solver(self.flow.formulation, self.inference.solver)
        return self


class Params(BaseModel):
    """The whole file: the data sets of DVC's graph, and a block for each one under its own name."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    # Any other key is a data set's name, so that users add their own beside the known ones.
    __pydantic_extra__: dict[str, DatasetParams] = Field(init=False)

    datasets: tuple[str, ...] = Field(min_length=1, description="those that DVC's graph has")

    @model_validator(mode="after")
    def _has_their_blocks(self) -> Self:
        for name in self.datasets:
            if name not in self.blocks:
                raise ValueError(
                    f"datasets lists {name!r}, which has no block; "
                    f"{nearest_name(name, list(self.blocks))}"
                )
        for name in self.blocks:
            if not re.fullmatch(DATASET_NAME, name):
                raise ValueError(f"data set {name!r}: a name has small letters, digits and _ only")
        return self

    @property
    def blocks(self) -> dict[str, DatasetParams]:
        """The blocks of all data sets by name."""
        return self.__pydantic_extra__

    def dataset(self, name: str) -> DatasetParams:
        """The block of one data set.

        Raises:
            UserError: There is no such data set.
        """
        if name not in self.blocks:
            raise UserError(f"unknown data set {name!r}; {nearest_name(name, list(self.blocks))}")
        return self.blocks[name]


def read_params(path: Path = PARAMS_FILE) -> Params:
    """Reads and validates a whole parameter file.

    Raises:
        UserError: The file is absent, is not YAML, or does not fit the schema.
    """
    return validate_params(read_values(path), path.name)


def validate_params(values: object, source: str) -> Params:
    """Validates plain values against the schema.

    Args:
        values: What a YAML parser returned.
        source: Named in errors, for instance "params.yaml".

    Raises:
        UserError: The first misfit: where, what came, what is allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {describe_misfit(error, values, Params)}") from None
