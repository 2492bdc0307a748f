"""What a run's params.yaml says: the recipe and the overrides, held against the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from semflow.cli.use import merge, round_trip, written
from semflow.core.errors import UserError
from semflow.params.messages import nearest_name
from semflow.schema import Params, validate_params

Overrides = Mapping[str, Any]
"""Values of a data set's block, by dotted key or nested: `{"train.steps": 10}`."""


def with_dataset(text: str, dataset: str) -> str:
    """A params.yaml that lists one data set and is otherwise as it was, to the byte if it did.

    Args:
        text: the file as it is; of a past commit, whose schema may be another.
        dataset: the only one that the new file lists.

    Raises:
        UserError: the file has no block for it.
    """
    document = round_trip().load(text)
    if dataset not in _blocks(document):
        raise UserError(f"unknown data set {dataset!r}; {nearest_name(dataset, _blocks(document))}")
    if document["datasets"] == [dataset]:
        return text
    document["datasets"].clear()
    document["datasets"].append(dataset)
    return written(document)


def edited_params(text: str, dataset: str, recipe: str | None, overrides: Overrides) -> str:
    """A params.yaml that lists one data set, with its block changed; comments are kept.

    Args:
        text: the file as it is.
        dataset: the only one that the new file lists.
        recipe: a name below `recipes`, or None.
        overrides: applied after the recipe.

    Raises:
        UserError: unknown data set, recipe or parameter, or a value that the schema does not allow.
    """
    listed = with_dataset(text, dataset)
    document = round_trip().load(listed)
    if recipe is not None:
        merge(document[dataset], _recipe(document["recipes"], recipe, dataset))
    merge(document[dataset], nested(overrides))
    edited = written(document) if recipe is not None or overrides else listed
    validate_params(YAML(typ="safe").load(edited), f"params.yaml for {dataset}")
    return edited


def nested(overrides: Overrides) -> dict[str, Any]:
    """Dotted keys as mappings in mappings.

    Raises:
        UserError: a key names both a value and a block.
    """
    result: dict[str, Any] = {}
    for key, value in overrides.items():
        *parents, last = key.split(".")
        block = result
        for parent in parents:
            block = block.setdefault(parent, {})
            if not isinstance(block, dict):
                raise UserError(f"override {key!r} is below another that is a value; give one")
        if isinstance(value, Mapping):
            below = block.setdefault(last, {})
            if not isinstance(below, dict):
                raise UserError(f"override {key!r} is a value and a block; give one")
            merge(below, nested(value))
        else:
            block[last] = value
    return result


def _recipe(recipes: Mapping[str, Any], recipe: str, dataset: str) -> dict[str, Any]:
    if recipe not in recipes:
        raise UserError(f"unknown recipe {recipe!r}; {nearest_name(recipe, list(recipes))}")
    if dataset not in recipes[recipe]:
        known = ", ".join(recipes[recipe])
        raise UserError(f"recipe {recipe!r} is for {known}, not for {dataset!r}")
    overrides: dict[str, Any] = recipes[recipe][dataset]
    return overrides


def _blocks(document: Mapping[str, Any]) -> list[str]:
    return [name for name in document if name not in Params.model_fields]
