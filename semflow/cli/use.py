"""`semflow use`: writes a recipe's values into a data set's block of params.yaml."""

from __future__ import annotations

from typing import Annotated

import typer


def _recipes() -> list[str]:
    """Names for shell completion."""
    from semflow.params.recipes import RECIPES

    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def use(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Name of a file in recipes/.", autocompletion=_recipes
        ),
    ],
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name of a block in params.yaml.")
    ],
) -> None:
    """Write a recipe into params.yaml.

    Its values take their places in the data set's block, comments are kept, and the file is
    replaced only if the result fits the schema.

    \b
    Example:
      semflow use smoke earth
    """
    # Imported here: help and completion must not wait for the schema.
    from ruamel.yaml import YAML

    from semflow.core.files import write_text
    from semflow.params.reading import PARAMS_FILE
    from semflow.params.recipes import (
        RECIPES,
        merge,
        overrides_for,
        read_recipe,
        round_trip,
        written,
    )
    from semflow.schema import read_params, validate_params

    read_recipe(recipe, dataset)
    read_params().dataset(dataset)
    # Read again with its style: a plain list would be written with an item a line.
    styled = round_trip().load(RECIPES / f"{recipe}.yaml")
    document = round_trip().load(PARAMS_FILE)
    merge(document[dataset], overrides_for(styled, recipe, dataset))
    text = written(document)
    validate_params(YAML(typ="safe").load(text), f"recipe {recipe} for {dataset}")
    write_text(PARAMS_FILE, text)
