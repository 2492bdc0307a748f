"""Reading what the command line names, and writing what it asked for, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.files import whole_file
from semflow.datasets import files
from semflow.datasets.base import UnreadableSample
from semflow.shards.tar import png_bytes

Pixels = TypeVar("Pixels")


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB.

    Raises:
        UserError: The file is absent or no readable image.
    """
    return _read(path, files.read_image)


def read_label(path: Path) -> NDArray[np.uint8]:
    """Label ids (H, W) uint8 of a greyscale or palette PNG.

    Raises:
        UserError: The file is absent, no readable image, or holds colours in place of ids.
    """
    return _read(path, files.read_label)


def check_size(path: Path, pixels: NDArray[np.uint8], size: Sequence[int], fit: str | None) -> None:
    """Holds an input's size against the model's.

    Args:
        path: The input, for the error.
        pixels: (H, W) or (H, W, 3).
        size: Height and width that the model takes.
        fit: What is done with another size; None for nothing.

    Raises:
        UserError: They differ, and nothing is done about it.
    """
    height, width = pixels.shape[:2]
    if fit is None and (height, width) != tuple(size):
        raise UserError(
            f"{path} is {width}x{height}, this model takes {size[1]}x{size[0]}; "
            "give --fit resize or --fit window"
        )


def plan_outputs(
    inputs: Sequence[Path], folder: Path, suffixes: Sequence[str], force: bool
) -> list[list[Path]]:
    """Where each input's results go: `<folder>/<stem><suffix>`, one path for each suffix.

    Args:
        inputs: Files that are read.
        folder: Receives the results; need not exist.
        suffixes: Of one input's results.
        force: Whether results may replace files; never an input.

    Raises:
        UserError: An input is no file, two results have one name, a result is there already or is
            an input, or the folder is a file.
    """
    read = {_identity(path) for path in inputs}
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; --out names a folder")
    plan = [[folder / f"{path.stem}{suffix}" for suffix in suffixes] for path in inputs]
    taken: set[str] = set()
    for path in (path for group in plan for path in group):
        if path.name in taken:
            raise UserError(f"two inputs would both write {path.name}; rename one")
        taken.add(path.name)
        if path.exists() and _identity(path) in read:
            raise UserError(f"{path} is an input; name another folder by --out")
        if os.path.lexists(path) and not force:
            raise UserError(f"{path} exists; name another folder by --out, or give --force")
    return plan


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Writes (H, W, 3) RGB or (H, W) ids as a PNG, in one rename; makes the folder if need be.

    Raises:
        UserError: The file system refuses, a full disk for instance; nothing partial is left.
    """
    try:
        with whole_file(path) as partial:
            partial.write_bytes(png_bytes(pixels))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; what came before stays") from None


def _read(path: Path, reader: Callable[[Path], Pixels]) -> Pixels:
    try:
        return reader(path)
    except (UnreadableSample, OSError) as error:
        raise UserError(f"cannot take {path}: {error}") from None


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode of a file, which links to it share.

    Raises:
        UserError: It is absent or no regular file.
    """
    if not path.is_file():
        raise UserError(f"{path} {'is no file' if path.exists() else 'not found'}")
    found = path.stat()
    return found.st_dev, found.st_ino
