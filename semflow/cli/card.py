"""`semflow card`: a checkpoint with its model card in a folder, which may go to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name of a block in params.yaml.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder that is made.")],
    data_licence: Annotated[
        str | None,
        typer.Option(help="What the data is, whose, under which licence, where it is your own."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload the folder to the hub as well.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Where the hub has none yet.")] = False,
) -> None:
    """Write a checkpoint's model card.

    Copies models/DATASET/pipeline and adds README.md with data and licence, recipe, figures,
    pictures and limits, from reports/DATASET/metrics.json and the held-out split.

    \b
    Example:
      semflow card robots --out robots-card
    """
    # Imported here: help and completion must not wait for torch.
    from semflow.card.folder import CardInputs, push_folder, write_card_folder
    from semflow.card.origins import origin_of
    from semflow.schema import read_params

    origin = origin_of(read_params().dataset(dataset).index.reader, data_licence)
    inputs = CardInputs(
        Path("models", dataset, "pipeline"),
        Path("reports", dataset, "metrics.json"),
        Path("data/shards", dataset),
    )
    write_card_folder(dataset, origin, inputs, out)
    if push is not None:
        print(push_folder(out, push, private))
