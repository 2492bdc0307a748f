"""Reading params.yaml: a stage takes its own groups out of a data set's block and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from semflow.core.errors import UserError
from semflow.params.messages import describe_misfit, nearest_name, shown
from semflow.params.plain_yaml import plain_yaml

PARAMS_FILE = Path("params.yaml")
LISTED = "datasets"
"""The one key at the top that is no data set's name."""

Model = TypeVar("Model", bound=BaseModel)


def read_stage_params(dataset: str, model: type[Model], path: Path = PARAMS_FILE) -> Model:
    """The parameters of one stage for one data set; the rest of the file is not validated.

    Args:
        dataset: Name of a block.
        model: Groups that the stage reads.
        path: The parameter file.

    Raises:
        UserError: The file is absent or no YAML, has no such block, or a value does not fit.
    """
    return validated(read_block(dataset, path), model, dataset, path.name)


def validated(block: Mapping[str, Any], model: type[Model], item: str, source: str) -> Model:
    """The groups of a block that a stage reads.

    Args:
        block: A data set's, as plain values.
        model: Groups that the stage reads.
        item: Whose block it is, for errors.
        source: Name of the file, for errors.

    Raises:
        UserError: A value does not fit.
    """
    try:
        return model.model_validate(block)
    except ValidationError as error:
        misfit = describe_misfit(error, block, model, item)
        raise UserError(f"{source}: {misfit}") from None


def read_block(dataset: str, path: Path = PARAMS_FILE) -> Mapping[str, Any]:
    """A data set's whole block as plain values, not validated.

    Raises:
        UserError: The file is absent or no YAML, or has no such block.
    """
    values = read_values(path)
    known = [name for name in values if name != LISTED]
    if dataset not in known:
        raise UserError(f"unknown data set {shown(dataset)}; {nearest_name(dataset, known)}")
    block = values[dataset]
    if not isinstance(block, Mapping):
        raise UserError(f"{path.name}: {dataset} is no mapping; give it the blocks of a data set")
    return block


def read_values(path: Path) -> Mapping[str, Any]:
    """A YAML file's plain values.

    Raises:
        UserError: The file is absent, no plain YAML, or no mapping with names for keys.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} not found; run from the repository's root") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend that") from None
    values = plain_yaml(content, str(path))
    if not isinstance(values, Mapping):
        raise UserError(f"{path} holds no mapping; take it from the repository again")
    if odd := [key for key in values if not isinstance(key, str)]:
        raise UserError(f"{path}: key {shown(odd[0])} is no name; put it in quotes")
    return values
