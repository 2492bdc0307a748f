"""The schema of params.yaml: every key, its bounds and its unit. No key has a default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semflow.errors import UserError
from semflow.misfits import describe_misfit, nearest_name
from semflow.params.data import Latents, PaletteParams, Shards
from semflow.params.fields import Block
from semflow.params.indexing import IndexParams
from semflow.params.learning import Baseline, Flow, Inference, Train
from semflow.params.measuring import Evaluate, Report
from semflow.params.networks import AutoencoderParams, BackboneParams

PARAMS_FILE = Path("params.yaml")
DATASET_NAME = "[a-z][a-z0-9_]*"


class DatasetParams(Block):
    """Everything one data set's road from raw files to report depends on."""

    index: IndexParams
    shards: Shards
    palette: PaletteParams
    autoencoder: AutoencoderParams
    backbone: BackboneParams
    latents: Latents
    flow: Flow
    train: Train
    inference: Inference
    baseline: Baseline
    evaluate: Evaluate
    report: Report

    @model_validator(mode="after")
    def _defaults_are_measured(self) -> Self:
        for default, measured in (
            (self.inference.segment_steps, self.evaluate.segmentation_steps),
            (self.inference.synthesize_steps, self.evaluate.synthesis_steps),
        ):
            if default not in measured:
                raise ValueError(f"inference uses {default} steps, evaluate measures {measured}")
        return self


class Params(BaseModel):
    """The whole of params.yaml: two lists, and a block for each data set under its own name.

    `recipes` are named override sets: recipe -> data set -> a partial block. They are validated
    when `semflow use` merges them, against the block they override.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    # Any other key is a data set's name, so that users add their own beside the known ones.
    __pydantic_extra__: dict[str, DatasetParams] = Field(init=False)

    datasets: tuple[str, ...] = Field(min_length=1, description="those that DVC's graph has")
    recipes: dict[str, dict[str, dict[str, Any]]]

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
            UserError: there is no such data set.
        """
        if name not in self.blocks:
            raise UserError(f"unknown data set {name!r}; {nearest_name(name, list(self.blocks))}")
        return self.blocks[name]


def read_params(path: Path = PARAMS_FILE) -> Params:
    """Reads and validates a parameter file.

    Raises:
        UserError: the file is absent, is not YAML, or does not fit the schema.
    """
    try:
        values = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise UserError(f"{path} not found; run from the repository's root") from None
    except YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    return validate_params(values, path.name)


def validate_params(values: object, source: str) -> Params:
    """Holds plain values against the schema.

    Args:
        values: what a YAML parser returned.
        source: named in errors, for instance "params.yaml".

    Raises:
        UserError: naming the first misfit: where, what came, what is allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {describe_misfit(error, values, Params)}") from None
