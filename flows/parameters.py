"""What a run's params.yaml says: the recipe and the overrides, held against the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from flows.workspace import git
from semflow.core.errors import UserError
from semflow.params.messages import nearest_name, shown
from semflow.params.plain_yaml import plain_yaml
from semflow.params.reading import LISTED
from semflow.params.recipes import RECIPES, merge, overrides_for, round_trip, written
from semflow.schema import validate_params

Overrides = Mapping[str, Any]
"""Values of a data set's block, by dotted key or nested: `{"train.steps": 10}`."""
_RECIPE_NAME = re.compile("[a-z][a-z0-9-]*")


def recipe_at(repository: Path, commit: str, name: str, dataset: str) -> dict[str, Any]:
    """What a recipe of a commit changes in a data set's block.

    Args:
        repository: That knows the commit.
        commit: Full hash.
        name: Name of a file in the folder of recipes, without its ending.
        dataset: Name of the block.

    Raises:
        UserError: No such recipe, it is no YAML, or it does not know the data set.
    """
    files = git(repository, "ls-tree", "--name-only", commit, f"{RECIPES}/").splitlines()
    known = [path.stem for path in map(PurePosixPath, files) if path.suffix == ".yaml"]
    if not _RECIPE_NAME.fullmatch(name) or name not in known:
        raise UserError(f"unknown recipe {shown(name)}; {nearest_name(name, known)}")
    path = f"{RECIPES}/{name}.yaml"
    values = _mapping(git(repository, "show", f"{commit}:{path}"), path, None)
    return overrides_for(values, name, dataset)


def with_dataset(text: str, dataset: str) -> str:
    """A params.yaml that lists one data set and is otherwise as it was, to the byte if it did.

    Args:
        text: The file as it is; of a past commit, whose schema may be another.
        dataset: The only one that the new file lists.

    Raises:
        UserError: The file is no YAML, or has no block for it.
    """
    document = _mapping(text, "params.yaml", round_trip())
    known = [name for name, block in document.items() if isinstance(block, dict)]
    if dataset not in known:
        raise UserError(f"unknown data set {shown(dataset)}; {nearest_name(dataset, known)}")
    listed = document.get(LISTED)
    if listed == [dataset]:
        return text
    if not isinstance(listed, list):
        raise UserError(f"params.yaml: {LISTED} is no list; name the data sets of DVC's graph")
    # In place: its comments stay.
    listed.clear()
    listed.append(dataset)
    return written(document)


def edited_params(text: str, dataset: str, recipe: Overrides | None, overrides: Overrides) -> str:
    """A params.yaml that lists one data set, with its block changed; comments are kept.

    Args:
        text: The file as it is.
        dataset: The only one that the new file lists.
        recipe: Values that `recipe_at` has found, or None.
        overrides: Applied after the recipe.

    Raises:
        UserError: Unknown data set or parameter, or a value that the schema does not allow.
    """
    listed = with_dataset(text, dataset)
    document = _mapping(listed, "params.yaml", round_trip())
    merge(document[dataset], recipe or {})
    merge(document[dataset], nested(overrides))
    edited = written(document) if recipe is not None or overrides else listed
    validate_params(plain_yaml(edited, "params.yaml"), f"params.yaml for {dataset}")
    return edited


def nested(overrides: Overrides) -> dict[str, Any]:
    """Dotted keys as mappings in mappings.

    Raises:
        UserError: A key names both a value and a block.
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


def _mapping(text: str, source: str, parser: YAML | None) -> dict[str, Any]:
    values = plain_yaml(text, source, parser)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{source} holds no mapping of names; take it from the repository again")
    return values
