"""Recipes: named override sets, merged into a data set's block of params.yaml, comments kept."""

from __future__ import annotations

import io
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from semflow.core.errors import UserError
from semflow.params.messages import TAGS, nearest_name, shown
from semflow.params.reading import read_values

RECIPES = Path("recipes")
ALL = "all"
"""Key of what a recipe changes for every data set, before what differs by data set."""


def read_recipe(name: str, dataset: str, folder: Path = RECIPES) -> dict[str, Any]:
    """What a recipe changes in a data set's block.

    Args:
        name: Name of a file in the folder, without its ending.
        dataset: Name of the block.
        folder: Holds the recipes.

    Raises:
        UserError: No such recipe, or it does not know the data set.
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(f"unknown recipe {shown(name)}; {nearest_name(name, known)}")
    return overrides_for(read_values(folder / f"{name}.yaml"), name, dataset)


def overrides_for(recipe: Mapping[str, Any], name: str, dataset: str) -> dict[str, Any]:
    """The part of a recipe's values that is for one data set.

    Args:
        recipe: The file's values.
        name: The recipe's, for errors.
        dataset: Name of the block.

    Raises:
        UserError: The recipe has neither a part for all data sets nor one for this one, or such a
            part is no mapping.
    """
    parts = [part for part in (ALL, dataset) if part in recipe]
    if not parts:
        raise UserError(
            f"recipe {shown(name)} is for {', '.join(recipe)[:200]}, not for {shown(dataset)}"
        )
    overrides: dict[str, Any] = {}
    for part in parts:
        if not isinstance(recipe[part], Mapping):
            raise UserError(
                f"recipe {shown(name)}: {part} is no mapping; give it blocks or remove it"
            )
        merge(overrides, recipe[part])
    return overrides


def merge(block: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Replaces values in place; mappings are merged, except where a union's tag changes."""
    for key, value in overrides.items():
        old = block.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not _other_kind(old, value):
            merge(old, value)
        else:
            # A copy: the same object twice in one document would be written as an alias.
            block[key] = deepcopy(value)


class _ExplicitNulls(RoundTripRepresenter):
    """Writes None as `null`, as params.yaml does, and not as nothing."""

    def represent_null(self, _value: None) -> ScalarNode:
        """`null`."""
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_ExplicitNulls.add_representer(type(None), _ExplicitNulls.represent_null)


def round_trip() -> YAML:
    """A parser that keeps comments, quotes and order for the writer."""
    yaml = YAML()
    yaml.Representer = _ExplicitNulls
    yaml.preserve_quotes = True
    yaml.width = 100
    return yaml


def written(document: Any) -> str:
    """What `round_trip` has loaded, as text."""
    text = io.StringIO()
    round_trip().dump(document, text)
    return text.getvalue()


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(new.get(tag, old.get(tag)) != old.get(tag) for tag in TAGS)
