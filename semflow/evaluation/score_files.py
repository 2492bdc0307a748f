"""The files of a score: which prediction belongs to which truth, and reading them at one size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semflow.core.decoding import Undecodable, check_chunks
from semflow.core.errors import UserError
from semflow.core.progress import progress_over
from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import (
    FIRST_LYING,
    IMAGE_FORMATS,
    ORIENTATION_TAG,
    read_image,
)
from semflow.metrics.fixed_networks import check_pixels

LabelIds = Literal["train", "cityscapes"]
"""What the pixels of a label PNG mean: class ids with 255 = ignore, or Cityscapes' label ids."""

LABELS = (".png",)
IMAGES = (".png", ".jpg", ".jpeg")

_UNREADABLE = (UnreadableSample, OSError, SyntaxError, ValueError, TypeError)
BATCH = 16
"""Images in memory at a time."""

# <city>_<sequence>_<frame>, the part that all files of one Cityscapes frame share; the official
# evaluator looks for <city>_<sequence>_<frame>*.png.
_FRAME = re.compile(r"([^_.]+_\d{6}_\d{6})(?!\d)")
_CITYSCAPES_KIND = re.compile(r".+_gt(?:Fine|Coarse)_(\w+)\.png")
_KINDS: Mapping[LabelIds, str] = {"train": "labelTrainIds", "cityscapes": "labelIds"}
_SAMPLE = re.compile(r"(.+)\.(\d+)")
# What `semflow segment` writes beside the ids, to look at.
_COLORED = ".color.png"


@dataclass(frozen=True)
class Matches:
    """Paths by key, in the order of keys.

    Args:
        pairs: (prediction, truth) of every truth.
        unused: Predictions that belong to no truth.
    """

    pairs: Mapping[str, tuple[Path, Path]]
    unused: tuple[Path, ...]


@dataclass(frozen=True)
class SampleMatches:
    """Paths by key, in the order of keys.

    Args:
        photos: The truth.
        samples: Syntheses of each key, in the order of their numbers.
        unused: Syntheses that belong to no photo.
    """

    photos: Mapping[str, Path]
    samples: Mapping[str, tuple[Path, ...]]
    unused: tuple[Path, ...]


def match_labels(
    predictions: Path, truth: Path, prediction_ids: LabelIds, truth_ids: LabelIds
) -> Matches:
    """Pairs label PNGs of the same stem, or of the same Cityscapes frame.

    Of Cityscapes' own files those of other ids (`_color`, `_instanceIds`, ...) are passed over, and
    everywhere `*.color.png`.

    Raises:
        UserError: A folder is absent or holds no label, a truth has no prediction, or two files of
            one folder have the same key.
    """
    wanted = _by_key(_labels(truth, truth_ids))
    offered = _by_key(_labels(predictions, prediction_ids))
    _check_complete(wanted, offered, predictions)
    return Matches(
        pairs={key: (offered[key], path) for key, path in wanted.items()},
        unused=tuple(path for key, path in offered.items() if key not in wanted),
    )


def match_samples(predictions: Path, truth: Path) -> SampleMatches:
    """Gives every photo its syntheses: `<stem>.png`, or `<stem>.<k>.png` for sample k.

    Raises:
        UserError: A folder is absent or holds no image, a photo has no synthesis, or two files are
            the same photo or sample.
    """
    photos = _by_key(_files(truth, IMAGES))
    numbered: dict[str, dict[int, Path]] = {}
    unused = []
    for path in _files(predictions, IMAGES):
        key, number = _sample_of(path.stem, photos)
        if key not in photos:
            unused.append(path)
        elif (other := numbered.setdefault(key, {}).setdefault(number, path)) != path:
            raise UserError(f"{other} and {path} are both sample {number} of {key}; keep one")
    _check_complete(photos, numbered, predictions)
    samples = {key: tuple(path for _, path in sorted(numbered[key].items())) for key in photos}
    return SampleMatches(photos, samples, tuple(unused))


def key_of(stem: str) -> str:
    """The Cityscapes frame that a file's stem begins with, or else the stem itself."""
    match = _FRAME.match(stem)
    return match[1] if match else stem


def size_of(path: Path) -> tuple[int, int]:
    """Height and width in pixels once it is upright, as the file's header says.

    Raises:
        UserError: It is no image.
    """
    if not path.is_file():
        # Who opens a pipe waits for who writes it.
        raise UserError(f"{path} is not a readable image (no regular file)")
    try:
        with path.open("rb") as file:
            check_chunks(file)
            image = Image.open(file, formats=IMAGE_FORMATS)
            lies = image.getexif().get(ORIENTATION_TAG, 1) >= FIRST_LYING
            return (image.width, image.height) if lies else (image.height, image.width)
    except (*_UNREADABLE, Undecodable, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a readable image ({error})") from None


def read_at(path: Path, resolution: tuple[int, int]) -> Tensor:
    """One image (1, 3, H, W) uint8 at a resolution.

    Raises:
        UserError: It is no image.
    """
    try:
        pixels = torch.tensor(read_image(path))
    except (UnreadableSample, OSError) as reason:
        raise UserError(f"cannot score {path}: {reason}") from None
    return to_resolution(pixels.permute(2, 0, 1)[None], resolution)


def batches_at(
    paths: Sequence[Path], resolution: tuple[int, int], purpose: str
) -> Iterator[Tensor]:
    """Images (N, 3, H, W) uint8, N <= BATCH, in the order of their paths."""
    starts = range(0, len(paths), BATCH)
    for start in progress_over(starts, len(starts), f"score: {purpose}", "batches"):
        yield torch.cat([read_at(path, resolution) for path in paths[start : start + BATCH]])


def to_resolution(images: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Resizes by RESIZE_FILTER; images that have the resolution stay as they are.

    Args:
        images: (N, 3, H, W) uint8.
        resolution: Height and width, pixels.

    Returns:
        (N, 3, height, width) uint8 on the CPU.

    Raises:
        ValueError: On other shapes or dtypes.
    """
    check_pixels(images)
    if tuple(images.shape[2:]) == resolution:
        return images.cpu()
    height, width = resolution
    pictures = (Image.fromarray(pixels) for pixels in images.permute(0, 2, 3, 1).cpu().numpy())
    resized = [
        np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
        for picture in pictures
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


def _sample_of(stem: str, photos: Mapping[str, Path]) -> tuple[str, int]:
    numbered = _SAMPLE.fullmatch(stem)
    # A photo's own name may end in a number.
    if numbered and stem not in photos:
        return key_of(numbered[1]), int(numbered[2])
    return key_of(stem), 0


def _labels(folder: Path, ids: LabelIds) -> list[Path]:
    found = _files(folder, LABELS)
    kinds = {path: _CITYSCAPES_KIND.fullmatch(path.name) for path in found}
    labels = [path for path, kind in kinds.items() if kind is None or kind[1] == _KINDS[ids]]
    if not labels:
        raise UserError(
            f"{folder} holds Cityscapes files but no *_{_KINDS[ids]}.png; "
            f"say which ids it holds: {' or '.join(_KINDS)}"
        )
    return labels


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one with {' or '.join(suffixes)} files")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.endswith(_COLORED)
    )
    if not found:
        raise UserError(f"{folder} holds no {' or '.join(suffixes)} file; give another folder")
    return found


def _by_key(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        key = key_of(path.stem)
        if key in found:
            raise UserError(f"{found[key]} and {path} both stand for {key}; keep one")
        found[key] = path
    return dict(sorted(found.items()))


def _check_complete(
    wanted: Mapping[str, Path], offered: Mapping[str, object], folder: Path
) -> None:
    missing = [path for key, path in wanted.items() if key not in offered]
    if missing:
        more = f" (and of {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(
            f"{folder} has no prediction of {missing[0]}{more}; "
            f"name one {key_of(missing[0].stem)}.png, or leave the truth out"
        )
