"""Reading what the command line names and writing what it asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semflow.errors import UserError


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


def output_names(paths: Sequence[Path]) -> list[str]:
    """The inputs' stems.

    Raises:
        UserError: two inputs would write the same file.
    """
    stems = [path.stem for path in paths]
    for stem in stems:
        if stems.count(stem) > 1:
            raise UserError(f"two inputs are named {stem}; outputs would overwrite each other")
    return stems


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except FileNotFoundError:
        raise UserError(f"{path} not found") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{path} is not a readable image ({error})") from None
    return image
