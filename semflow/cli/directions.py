"""Both directions of a checkpoint, from files to files: `semflow segment` and `semflow synthesize`.

Every input is read and checked before the first result is written; then one input after another is
read again and carried through, so that memory holds one of them however many are named.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from semflow.core.errors import UserError

if TYPE_CHECKING:
    from semflow.pipeline import SemFlowPipeline

MOST_STEPS, MOST_SAMPLES = 10_000, 1_000
"""Beyond, a slip of a finger: names and times alone fill the memory."""

Checkpoint: TypeAlias = Annotated[
    Path, typer.Argument(metavar="PIPELINE", help="Folder of a checkpoint.", show_default=False)
]
Out: TypeAlias = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")]
Steps: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_STEPS,
        help="Solver steps; without, the checkpoint's default. dopri5 takes none.",
    ),
]
Solver: TypeAlias = Annotated[
    str | None,
    typer.Option(help="euler, heun, midpoint or dopri5; without, the checkpoint's default."),
]
Fit: TypeAlias = Annotated[
    Literal["resize", "window"] | None,
    typer.Option(
        help="What is done with another size than the model's: resize there and back, or slide the "
        "model over it as a window. Without, it is refused."
    ),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Replace results that exist; an input is never replaced.")
]


def segment(
    pipeline: Checkpoint,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.")],
    out: Out,
    steps: Steps = None,
    solver: Solver = None,
    fit: Fit = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Of a formulation that segments from noise."),
    ] = 0,
    force: Force = False,
) -> None:
    """Segment images.

    <stem>.png holds label ids, <stem>.color.png their display colours; both have the image's size.

    \b
    Example:
      semflow segment pretrained/robots pretrained/robots-examples/0-image.png --out out
    """
    # Imported here, as below: help and completion must not wait for torch.
    import numpy as np

    from semflow.cli.images import check_size, plan_outputs, read_image, write_png

    plan = plan_outputs(images, out, (".png", ".color.png"), force)
    model = _load(pipeline)
    for path in images:
        check_size(path, read_image(path), model.config.image_size, fit)
    colors = np.asarray(model.config.class_colors, np.uint8)
    for path, (ids, picture) in zip(images, plan, strict=True):
        [label] = model.segment(read_image(path), steps, solver, seed, fit=fit)
        write_png(label, ids)
        write_png(colors[label], picture)


def synthesize(
    pipeline: Checkpoint,
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABEL", help="8-bit PNGs of class ids; 255: none.")
    ],
    out: Out,
    steps: Steps = None,
    solver: Solver = None,
    fit: Fit = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Of the noise that tells samples apart.")
    ] = 0,
    samples: Annotated[
        int, typer.Option(min=1, max=MOST_SAMPLES, help="Images made of each label, in one batch.")
    ] = 1,
    force: Force = False,
) -> None:
    """Synthesize images from labels.

    <stem>.<k>.png is sample k, of the label's size; its noise follows from the seed and k alone.

    \b
    Example:
      semflow synthesize pretrained/robots pretrained/robots-examples/0-label.png --out out
    """
    import numpy as np

    from semflow.cli.images import check_size, plan_outputs, read_label, write_png

    plan = plan_outputs(labels, out, [f".{k}.png" for k in range(samples)], force)
    model = _load(pipeline)
    for path in labels:
        label = read_label(path)
        check_size(path, label, model.config.image_size, fit)
        try:
            model.palette.check_label(label)
        except ValueError as error:
            raise UserError(f"{path}: {error}; give label ids, not colours") from None
    for path, pictures in zip(labels, plan, strict=True):
        made = model.synthesize([read_label(path)] * samples, steps, solver, seed, fit=fit)
        for image, picture in zip(made, pictures, strict=True):
            write_png(np.asarray(image), picture)


def _load(folder: Path) -> SemFlowPipeline:
    from semflow.networks.vae_memory import fit_autoencoder
    from semflow.pipeline import load_pipeline

    pipeline = load_pipeline(folder)
    fit_autoencoder(pipeline.vae)
    return pipeline
