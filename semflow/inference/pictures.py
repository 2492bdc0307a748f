"""Forms that pictures come and go in: PIL images, NumPy arrays, tensors; alone or in batches.

Inside, an image is (H, W, 3) uint8 and a label (H, W) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from diffusers.utils import BaseOutput
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from semflow.core.errors import UserError
from semflow.networks.anchors import nearest_anchor

Picture: TypeAlias = Image.Image | NDArray[Any] | Tensor
Pictures: TypeAlias = Picture | Sequence[Picture]
OutputType = Literal["pil", "np", "pt"]
Batch: TypeAlias = list[Image.Image] | NDArray[Any] | Tensor
"""N pictures in one of the forms of OutputType."""

BAND = 2**20
"""Pixels whose distances to all anchors are held at once."""
DEEP_MODES = ("I", "F", "I;16")
"""Pillow's modes of more than 8 bits a channel, which it would cut off at 255."""


@dataclass
class SemFlowOutput(BaseOutput):
    """What a call of a SemFlowPipeline gives: what was asked for, and None for the other.

    Args:
        images: N synthesized images: PIL, (N, H, W, 3) float32 in [0, 1] as NumPy array, or
            (N, 3, H, W) float32 in [0, 1] as tensor.
        labels: N labels of class ids: PIL images of ids with the display colours as their palette,
            (N, H, W) uint8 as NumPy array, or as tensor.
    """

    images: Batch | None = None
    labels: Batch | None = None


def read_images(images: Pictures) -> list[NDArray[np.uint8]]:
    """Images in any form, as (H, W, 3) uint8 each.

    Args:
        images: One or several: PIL images of 8 bits a channel; arrays (H, W, 3) or (N, H, W, 3);
            tensors (3, H, W) or (N, 3, H, W). Arrays and tensors are uint8, or floats in [0, 1],
            which are rounded to 256 levels.

    Raises:
        UserError: None at all, or one of another shape, dtype or range.
    """
    return [_image(one) for one in _one_by_one(images, 3, "image")]


def read_labels(labels: Pictures) -> list[NDArray[np.uint8]]:
    """Labels in any form, as (H, W) uint8 each.

    Args:
        labels: One or several: PIL images of mode L or P, whose pixels are ids; arrays or tensors
            of integers in 0 .. 255, (H, W) or (N, H, W).

    Raises:
        UserError: None at all, or one of another shape, dtype or range.
    """
    return [_label(one) for one in _one_by_one(labels, 2, "label")]


def labels_of(mask: Tensor, anchors: Tensor) -> NDArray[np.uint8]:
    """A decoded pseudo-mask (3, H, W) float in [-1, 1] -> label ids (H, W) uint8.

    Args:
        mask: Of any size; its rows are read in bands.
        anchors: (K, 3) in the same units.
    """
    bands = mask.split(max(1, BAND // mask.shape[2]), dim=1)
    return torch.cat([nearest_anchor(band[None], anchors)[0] for band in bands]).cpu().numpy()


def images_as(images: Sequence[NDArray[np.uint8]], output_type: OutputType) -> Batch:
    """Images (H, W, 3) uint8 in the form that is asked for: see `SemFlowOutput`.

    Raises:
        UserError: An unknown form, or images of several sizes for one array.
    """
    if output_type == "pil":
        return [Image.fromarray(image) for image in images]
    levels = _stacked(images, output_type).astype(np.float32) / 255
    return levels if output_type == "np" else torch.from_numpy(levels).permute(0, 3, 1, 2)


def labels_as(
    labels: Sequence[NDArray[np.uint8]],
    class_colors: Sequence[Sequence[int]],
    output_type: OutputType,
) -> Batch:
    """Labels (H, W) uint8 in the form that is asked for: see `SemFlowOutput`.

    Args:
        labels: N of them.
        class_colors: (K, 3) display colours, for PIL's palette.
        output_type: The form.

    Raises:
        UserError: As of `images_as`.
    """
    if output_type != "pil":
        ids = _stacked(labels, output_type)
        return ids if output_type == "np" else torch.from_numpy(ids)
    pictures = [Image.fromarray(label) for label in labels]
    for picture in pictures:
        picture.putpalette([level for color in class_colors for level in color])
    return pictures


def check_output_type(output_type: str) -> None:
    """Accepts the forms of OutputType only.

    Raises:
        UserError: Another one.
    """
    if output_type not in get_args(OutputType):
        known = ", ".join(get_args(OutputType))
        raise UserError(f"unknown output_type {output_type!r}; known are {known}")


def _one_by_one(pictures: Pictures, rank: int, what: str) -> list[Picture]:
    """Single pictures out of a picture, a batch in one array, or a sequence; rank: of one array."""
    if isinstance(pictures, Image.Image):
        return [pictures]
    if isinstance(pictures, np.ndarray | Tensor):
        pictures = list(pictures) if pictures.ndim == rank + 1 else [pictures]
    found = list(pictures)
    if not found:
        raise UserError(f"got no {what}; give at least one")
    return found


def _image(picture: Picture) -> NDArray[np.uint8]:
    if isinstance(picture, Image.Image):
        if picture.mode in DEEP_MODES:
            raise UserError(f"the image has mode {picture.mode}; convert it to 8 bits a channel")
        return np.array(picture.convert("RGB"))
    if isinstance(picture, Tensor):
        array = picture.detach().cpu().numpy()
        array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
    else:
        array = np.asarray(picture)
    if array.ndim != 3 or array.shape[2] != 3:
        raise UserError(
            f"an image has shape {tuple(picture.shape)}; "
            "arrays are (H, W, 3), tensors (3, H, W), or N of them"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        raise UserError(
            f"an image is {array.dtype} in [{array.min():g}, {array.max():g}]; "
            "give uint8, or floats in [0, 1]"
        )
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)


def _label(picture: Picture) -> NDArray[np.uint8]:
    if isinstance(picture, Image.Image):
        if picture.mode not in ("L", "P"):
            raise UserError(f"a label has mode {picture.mode}; give ids, as mode L or P")
        return np.array(picture)
    array = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else np.asarray(picture)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise UserError(
            f"a label is {array.dtype} of shape {tuple(array.shape)}; "
            "give integers (H, W), or N of them"
        )
    if array.size and not 0 <= array.min() <= array.max() <= 255:
        raise UserError(
            f"a label has ids in {array.min()} .. {array.max()}; give class ids, and 255 for none"
        )
    return array.astype(np.uint8)


def _stacked(arrays: Sequence[NDArray[np.uint8]], output_type: str) -> NDArray[np.uint8]:
    if len({array.shape for array in arrays}) > 1:
        raise UserError(
            f"output_type {output_type!r} is one array, and the results have several sizes; "
            "take 'pil', or give one size at a time"
        )
    return np.stack(arrays)
