"""Reading what the command line names and writing what it asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError


def read_image(path: Path) -> Image.Image:
    """An RGB image.

    Raises:
        UserError: absent or not an image.
    """
    return _open(path).convert("RGB")


def read_label(path: Path) -> NDArray[np.uint8]:
    """Label ids (H, W) uint8 of a greyscale or palette PNG.

    Raises:
        UserError: absent, not an image, or with colours in place of ids.
    """
    image = _open(path)
    if image.mode not in ("L", "P"):
        raise UserError(f"{path} has mode {image.mode}; a label is an 8-bit PNG of class ids")
    return np.asarray(image)


def output_paths(inputs: Sequence[Path], folder: Path, suffixes: Sequence[str]) -> list[list[Path]]:
    """Where each input's results go: `<folder>/<stem><suffix>`, one path for each suffix.

    Raises:
        UserError: two results would have one name, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; --out names a folder")
    paths = [[folder / f"{path.stem}{suffix}" for suffix in suffixes] for path in inputs]
    names = [path.name for group in paths for path in group]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two inputs would both write {name}; rename one")
    return paths


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise UserError(f"{path} not found") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a readable image ({error})") from None
    return image
