"""Label maps as pictures to paint on, and painted pictures as label maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.labels import IGNORE_INDEX
from semflow.core.pictures import NO_CLASS_COLOR, color_table

Picture = NDArray[np.uint8]

CANVAS_EDGE = 448
"""Pixels; the longer side of a canvas comes close to it."""


def canvas_scale(size: Sequence[int]) -> int:
    """How many canvas pixels the side of a label's pixel is drawn with, at least 1.

    A label of 64 pixels is too coarse for a brush with a soft rim; a canvas of seven times the size
    is not, and what the rim mixes stays a minority of each label pixel.

    Args:
        size: Height and width of the label.
    """
    return max(1, CANVAS_EDGE // max(size))


def hex_color(color: Sequence[int]) -> str:
    """Three grey levels as #rrggbb."""
    return "#" + "".join(f"{level:02x}" for level in color)


def brush_colors(class_colors: Sequence[Sequence[int]]) -> list[str]:
    """A brush for each class, in the order of ids, and at last one for pixels without a class."""
    return [hex_color(color) for color in (*class_colors, NO_CLASS_COLOR)]


def canvas_of(label: Picture, class_colors: Sequence[Sequence[int]]) -> Picture:
    """A label (H, W) in display colours, enlarged for painting: (s H, s W, 3) uint8."""
    scale = canvas_scale(label.shape)
    colored = color_table(class_colors)[label]
    return colored.repeat(scale, axis=0).repeat(scale, axis=1)


def nearest_ids(pixels: Picture, class_colors: Sequence[Sequence[int]]) -> Picture:
    """The class whose display colour is nearest, by squared distance in RGB.

    Args:
        pixels: (H, W, 3) uint8.
        class_colors: (K, 3), in the order of ids.

    Returns:
        (H, W) uint8; IGNORE_INDEX where the colour of no class is nearest. Between equally near
        ones the lower id wins.
    """
    colors = np.asarray([*class_colors, NO_CLASS_COLOR], np.int64)
    # A painted picture has few colours, and far fewer than pixels times classes.
    found, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    distances = ((found[:, None].astype(np.int64) - colors) ** 2).sum(axis=2)
    ids = distances.argmin(axis=1)
    ids[ids == len(class_colors)] = IGNORE_INDEX
    return ids.astype(np.uint8)[places.reshape(-1)].reshape(pixels.shape[:2])


def painted_label(
    painted: Picture, size: Sequence[int], class_colors: Sequence[Sequence[int]]
) -> Picture:
    """The label map that a painted canvas stands for.

    Every canvas pixel goes to the class of the nearest colour, and a label pixel to the class that
    most of its canvas pixels have; of two that are equally frequent, the lower id.

    Args:
        painted: (H', W', 4) uint8 RGBA of any size; where it is transparent, there is no class.
        size: Height and width of the label.
        class_colors: (K, 3), in the order of ids.

    Returns:
        (H, W) uint8 ids.
    """
    scale = canvas_scale(size)
    height, width = size
    image = Image.fromarray(painted)
    canvas = np.asarray(image.resize((width * scale, height * scale), Image.Resampling.NEAREST))
    ids = nearest_ids(canvas[..., :3], class_colors)
    ids[canvas[..., 3] < 128] = IGNORE_INDEX
    blocks = ids.reshape(height, scale, width, scale)
    present = np.unique(ids)
    counts = np.stack([(blocks == one).sum(axis=(1, 3)) for one in present])
    return present[counts.argmax(axis=0)]
