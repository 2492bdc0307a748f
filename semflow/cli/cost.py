"""`semflow cost`: what a data set's block of params.yaml will take, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from semflow.cli.directions import MOST_STEPS


def cost(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name of a block in params.yaml.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, in units.")] = False,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_STEPS, help="Of the solver both ways; without, the block's own."
        ),
    ] = None,
    utilisation: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the GPUs' peak that is reached.")
    ] = 0.4,
) -> None:
    """Say what a training will take.

    Parameters, operations, memory, disk, and hours on 8 A100 and 8 H100, from params.yaml alone;
    formulas and sources are in the answer.

    \b
    Example:
      semflow cost cityscapes --json
    """
    # Imported here: help and completion must not wait for the schema.
    from semflow.cost import page
    from semflow.cost.sheet import make_sheet
    from semflow.schema import read_params

    block = read_params().dataset(dataset)
    sheet = make_sheet(dataset, block, Path("data/index") / dataset, utilisation, steps)
    if as_json:
        print(json.dumps(page.as_json(sheet), indent=2, sort_keys=True, allow_nan=False))
    else:
        print(page.text(sheet))
