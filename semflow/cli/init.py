"""`semflow init`: a block of params.yaml and a raw tree, from folders of images and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semflow.cli.own_data.classes import Color, NamedClass
    from semflow.cli.own_data.labels import LabelSurvey
    from semflow.cli.own_data.pairs import Pair


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new block in params.yaml.")],
    images: Annotated[Path, typer.Option(metavar="DIR", help=".png, .jpg or .jpeg files.")],
    labels: Annotated[
        Path, typer.Option(metavar="DIR", help=".png files: ids, an indexed palette, or colours.")
    ],
    classes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Lines of NAME, ID NAME, or RED GREEN BLUE NAME."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Id or class name without a class; may be repeated."),
    ] = None,
    labelled_only: Annotated[
        bool, typer.Option("--labelled-only", help="Leave out images that have no label.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a block and a tree that init has made.")
    ] = False,
) -> None:
    """Make a data set of your own images and labels.

    Pairs them by name, counts the labels' ids, links the files into data/raw/NAME, and writes a
    block NAME for a small model into params.yaml. Folders named train, val and test below
    the two say the split; else a tenth is val and a tenth test.

    \b
    Example:
      semflow init streets --images photos --labels masks --classes names.txt
    """
    # Imported here: help and completion must not wait for numpy and the schema.
    from semflow.cli.own_data.classes import read_classes
    from semflow.cli.own_data.labels import survey
    from semflow.cli.own_data.pairs import counts, find_pairs, with_splits
    from semflow.cli.own_data.proposal import ignored_ids, proposed_block, proposed_classes
    from semflow.cli.own_data.raw_tree import RAW, check_place, make_raw_tree
    from semflow.cli.own_data.writing import check_name, file_with_block, replace_file

    check_name(name, force)
    check_place(RAW / name, (images, labels), force)
    pairs = with_splits(find_pairs(images, labels, labelled_only))
    named = [] if classes is None else read_classes(classes, ignore or ())
    found = survey((pair.label for pair in pairs), named)
    ignored = ignored_ids(found, named, ignore or ())
    chosen = proposed_classes(found, named, ignored)
    block = proposed_block(chosen, ignored, found.sizes, "test" in counts(pairs))
    text = file_with_block(name, block)
    make_raw_tree(RAW / name, pairs, named, found.as_they_are)
    replace_file(text)
    _say(name, pairs, found, chosen, block["shards"]["image_size"])


def _say(
    name: str,
    pairs: Sequence[Pair],
    found: LabelSurvey,
    chosen: Sequence[tuple[NamedClass, Color]],
    size: Sequence[int],
) -> None:
    """What was found, what was chosen, and what to run."""
    from semflow.cli.own_data.pairs import counts
    from semflow.core.terminal import printable

    splits = ", ".join(f"{count} {split}" for split, count in sorted(counts(pairs).items()))
    print(f"{name}: {len(pairs)} pairs ({splits}), trained at {size[0]}x{size[1]} pixels")
    total = found.pixels.sum()
    for one, _ in chosen:
        print(printable(f"  id {one.id}: {one.name}, {found.pixels[one.id] / total:.1%} of pixels"))
    ids = {one.id for one, _ in chosen}
    if left := [str(one) for one in found.ids if one not in ids]:
        share = sum(found.pixels[int(one)] for one in left) / total
        print(f"  ignored: id {', '.join(left)}, {share:.1%} of pixels")
    print(f"Names, colours and every other value are in params.yaml under {name}:. Then run:")
    print(f"  dvc repro report@{name}")
