"""The raw tree that the folder reader takes, made of a user's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from semflow.cli.own_data.classes import NamedClass
from semflow.cli.own_data.labels import translated
from semflow.cli.own_data.pairs import Pair
from semflow.core.errors import UserError
from semflow.core.files import whole_folder, write_text
from semflow.datasets.folder import IMAGE_ENDINGS

RAW = Path("data/raw")
MARK = "made-by-semflow-init.txt"
"""Stands in a raw tree that may be replaced, since all in it is made from somewhere else."""


def check_place(raw: Path, sources: Iterable[Path], force: bool) -> None:
    """Makes sure that nothing of a user's is replaced.

    Raises:
        UserError: The folder is there and is not one that --force may replace, or it is the
            source itself.
    """
    for source in sources:
        if source.resolve().is_relative_to(raw.resolve()):
            raise UserError(f"{source} lies in {raw}, which is made anew; move it elsewhere first")
    if raw.exists() and not (raw / MARK).is_file():
        raise UserError(f"{raw} is there and not made by semflow init; move it or choose a name")
    if raw.exists() and not force:
        raise UserError(f"{raw} is there already; replace it with --force or choose another name")


def make_raw_tree(
    raw: Path, pairs: Sequence[Pair], classes: Sequence[NamedClass], as_they_are: bool
) -> None:
    """Writes `<split>/images/<key>.*` and `<split>/labels/<key>.png`, whole or not at all.

    Args:
        raw: Becomes the tree.
        pairs: With their splits.
        classes: With the colours, where labels hold colours.
        as_they_are: Whether the label files can serve unchanged; else their ids are written.

    Files that serve unchanged are hard links, or copies where the file system has no links.
    """
    raw.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(raw) as folder:
        for pair in pairs:
            images = folder / str(pair.split) / "images"
            labels = folder / str(pair.split) / "labels"
            images.mkdir(parents=True, exist_ok=True)
            labels.mkdir(parents=True, exist_ok=True)
            ending = pair.image.suffix.lower()
            assert ending in IMAGE_ENDINGS
            _put(pair.image, images / f"{pair.key}{ending}")
            target = labels / f"{pair.key}.png"
            if as_they_are:
                _put(pair.label, target)
            else:
                Image.fromarray(translated(pair.label, classes)).save(target)
        write_text(folder / MARK, "semflow init --force replaces this folder.\n")


def _put(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        # Another file system, or one without links; what is wrong with the file itself shows here.
        shutil.copyfile(source, target)
