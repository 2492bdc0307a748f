"""Reading images for a score: at one resolution, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from semflow.core.errors import UserError
from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import read_image
from semflow.evaluation.presets import to_resolution

BATCH = 16
"""Images in memory at a time."""


def size_of(path: Path) -> tuple[int, int]:
    """Height and width in pixels, as the file's header says.

    Raises:
        UserError: it is no image.
    """
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a readable image ({error})") from None


def read_at(path: Path, resolution: tuple[int, int]) -> Tensor:
    """One image (1, 3, H, W) uint8 at a resolution.

    Raises:
        UserError: it is no image.
    """
    try:
        pixels = torch.tensor(read_image(path))
    except UnreadableSample as reason:
        raise UserError(f"cannot score {path}: {reason}") from None
    return to_resolution(pixels.permute(2, 0, 1)[None], resolution)


def batches_at(
    paths: Sequence[Path], resolution: tuple[int, int], purpose: str
) -> Iterator[Tensor]:
    """Images (N, 3, H, W) uint8, N <= BATCH, in the order of their paths."""
    starts = range(0, len(paths), BATCH)
    for start in tqdm(starts, desc=f"score: {purpose}", unit=" batches", disable=None):
        yield torch.cat([read_at(path, resolution) for path in paths[start : start + BATCH]])
