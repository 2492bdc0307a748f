"""Writes a recipe's values into a data set's block of params.yaml, comments kept."""

from __future__ import annotations

import argparse
import io
from copy import deepcopy
from typing import Any

from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.core.files import write_text
from semflow.params.messages import TAGS
from semflow.schema import PARAMS_FILE, read_params, validate_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("recipe", help="a name below recipes: in params.yaml")
    parser.add_argument("dataset")


def run(options: argparse.Namespace) -> None:
    """The file is rewritten only if the result fits the schema."""
    recipes = read_params().recipes
    if options.recipe not in recipes:
        raise UserError(f"unknown recipe {options.recipe!r}; known are {', '.join(recipes)}")
    if options.dataset not in recipes[options.recipe]:
        known = ", ".join(recipes[options.recipe])
        raise UserError(f"recipe {options.recipe!r} is for {known}, not for {options.dataset!r}")
    document = round_trip().load(PARAMS_FILE)
    merge(document[options.dataset], document["recipes"][options.recipe][options.dataset])
    text = written(document)
    validate_params(YAML(typ="safe").load(text), f"recipe {options.recipe}, {options.dataset}")
    write_text(PARAMS_FILE, text)


def round_trip() -> YAML:
    """A parser that keeps comments, quotes and order for the writer."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100
    return yaml


def written(document: Any) -> str:
    """What `round_trip` has loaded, as text."""
    text = io.StringIO()
    round_trip().dump(document, text)
    return text.getvalue()


def merge(block: dict[str, Any], overrides: dict[str, Any]) -> None:
    """Replaces values in place; mappings are merged, except where a union's tag changes."""
    for key, value in overrides.items():
        old = block.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not _other_kind(old, value):
            merge(old, value)
        else:
            # A copy: the same object twice in one document would be written as an alias.
            block[key] = deepcopy(value)


def _other_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(new.get(tag, old.get(tag)) != old.get(tag) for tag in TAGS)
