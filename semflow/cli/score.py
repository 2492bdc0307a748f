"""`semflow score`: any system's output folder under the field's protocols, as JSON on stdout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

Task = Literal["segmentation", "synthesis"]
Ids: TypeAlias = Annotated[
    Literal["train", "cityscapes"] | None,
    typer.Option(help="Segmentation: what the pixels mean; without, train."),
]
Weights: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Synthesis: the network's released weights.")
]


def score(
    task: Annotated[Task, typer.Option(help="What the predictions are.")],
    predictions: Annotated[Path, typer.Option(metavar="DIR", help="Searched deeply.")],
    truth: Annotated[Path, typer.Option(metavar="DIR", help="Labels, or photos.")],
    num_classes: Annotated[
        int | None, typer.Option(min=1, help="Segmentation: ids are 0 to N-1; 255 is ignored.")
    ] = None,
    prediction_ids: Ids = None,
    truth_ids: Ids = None,
    background: Annotated[
        int | None, typer.Option(metavar="ID", help="Segmentation: a second mean omits it.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Synthesis: paper, sis256 or samples50k.")
    ] = None,
    features: Annotated[
        Literal["inception", "mobilenetv2"] | None,
        typer.Option(help="Synthesis: without, inception, whose distance is FID."),
    ] = None,
    inception: Weights = None,
    mobilenet: Weights = None,
    lpips: Weights = None,
) -> None:
    """Score any system's output folder.

    Segmentation compares label PNGs with labels, synthesis <stem>.png or <stem>.<k>.png with photos
    of the same stems. Prints one JSON object; docs/protocols.md says what its numbers mean.

    \b
    Example:
      semflow score --task segmentation --predictions out --truth labels --num-classes 4
    """
    # Imported here: help and completion must not wait for torch.
    from semflow.cli import scoring

    scores = scoring.run(
        task,
        predictions,
        truth,
        scoring.LabelOptions(num_classes, prediction_ids, truth_ids, background),
        scoring.ImageOptions(preset, features, inception, mobilenet, lpips),
    )
    print(json.dumps(scores.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False))
