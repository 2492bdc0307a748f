"""Labels as pseudo-masks: one colour for each class (Eq. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.pseudo_masks.schema import BaseKPalette, PaletteParams

_ROWS = 16
"""Of a label at once: indices of so few are small enough for memory that is used again."""


@dataclass(frozen=True)
class Palette:
    """One colour, called an anchor, for each class.

    Args:
        anchors: (K, 3) float32, grey levels in [0, 255]; row c is the colour of class c.
        ignore_color: (3,) float32, grey levels; the colour of pixels without a class.
    """

    anchors: NDArray[np.float32]
    ignore_color: NDArray[np.float32]

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.anchors)

    def color_table(self) -> NDArray[np.uint8]:
        """Colours by label id, (256, 3) uint8; ids that are neither a class nor ignored: black."""
        table = np.zeros((256, 3), np.float32)
        table[: self.num_classes] = self.anchors
        table[IGNORE_INDEX] = self.ignore_color
        return np.rint(table).astype(np.uint8)

    def colorize(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label ids (..., H, W) uint8 -> pseudo-mask (..., H, W, 3) uint8 (Eq. 7).

        Raises:
            ValueError: An id that is neither a class nor IGNORE_INDEX.
        """
        self.check_label(label)
        return np.take(self.color_table(), label, axis=0)

    def check_label(self, label: NDArray[np.uint8]) -> None:
        """Accepts class ids and IGNORE_INDEX only.

        Raises:
            ValueError: Another id.
        """
        outside = label[(label >= self.num_classes) & (label != IGNORE_INDEX)]
        if outside.size:
            raise ValueError(
                f"label id {outside.min()} is outside 0..{self.num_classes - 1} and {IGNORE_INDEX}"
            )


def color_planes(label: NDArray[np.uint8], color_table: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A pseudo-mask as networks take it.

    Args:
        label: (H, W) ids.
        color_table: (256, 3), colours by id.

    Returns:
        (3, H, W) float32 in [-1, 1].
    """
    # 256 colours are brought to the range, not all pixels; and a whole plane after the other, since
    # picking triples takes four times as long.
    planes = (color_table.astype(np.float32) / 127.5 - 1).T.copy()
    out = np.empty((3, *label.shape), np.float32)
    for start in range(0, len(label), _ROWS):
        rows = slice(start, start + _ROWS)
        # NumPy would make indices of the whole label, for each plane anew.
        ids = label[rows].astype(np.intp)
        for plane, colors in zip(out, planes, strict=True):
            # uint8 leads nowhere outside of 256 colours.
            np.take(colors, ids, out=plane[rows], mode="clip")
    return out


def make_palette(params: PaletteParams, num_classes: int) -> Palette:
    """The palette that params.yaml describes.

    Raises:
        UserError: Its numbers contradict each other.
    """
    try:
        anchors = anchors_of(params, num_classes)
    except ValueError as error:
        raise UserError(f"params.yaml: {error}") from None
    return Palette(anchors, np.asarray(params.ignore_color, np.float32))


def anchors_of(params: PaletteParams, num_classes: int) -> NDArray[np.float32]:
    """The classes' colours, (K, 3) grey levels.

    Raises:
        ValueError: Its numbers contradict each other or the number of classes.
    """
    if isinstance(params, BaseKPalette):
        anchors = base_k_anchors(num_classes, params.k, params.spacing)
    else:
        anchors = spread_anchors(num_classes)
    if params.class_order:
        anchors = reorder(anchors, params.class_order)
    check_distinct(anchors)
    return anchors


def check_distinct(anchors: NDArray[np.float32]) -> None:
    """Accepts anchors (K, 3) that stay different once they are rounded to whole grey levels.

    Raises:
        ValueError: Two classes share a colour.
    """
    if len(np.unique(np.rint(anchors), axis=0)) < len(anchors):
        raise ValueError("palette.spacing is so small that classes share a colour; raise it")


def reorder(anchors: NDArray[np.float32], order: Sequence[int]) -> NDArray[np.float32]:
    """Gives class c the colour number order[c].

    Raises:
        ValueError: the order is no permutation of the classes.
    """
    if sorted(order) != list(range(len(anchors))):
        raise ValueError(f"palette.class_order is no permutation of 0..{len(anchors) - 1}")
    return anchors[list(order)]


def base_k_anchors(num_classes: int, k: int, spacing: float) -> NDArray[np.float32]:
    """Eq. 7: the class index in base k, one digit a channel, times the spacing.

    Returns:
        (K, 3) float32 grey levels.

    Raises:
        ValueError: more classes than k**3, or spacing * (k - 1) beyond 255.
    """
    if num_classes > k**3:
        raise ValueError(f"{num_classes} classes do not fit k = {k}: at most {k**3}; raise k")
    if spacing * (k - 1) > 255:
        raise ValueError(f"spacing * (k - 1) = {spacing * (k - 1):g} is beyond 255; lower one")
    c = np.arange(num_classes)
    digits = np.stack([c // k**2, c // k % k, c % k], axis=1)
    return (digits * spacing).astype(np.float32)


def spread_anchors(num_classes: int) -> NDArray[np.float32]:
    """Colours far from each other on the surface of the RGB cube: its corners, then greedily.

    None lies inside, where doubt between other classes would average to it. From the 9th class on
    each takes the point of a surface lattice that is farthest from all before it; ties go to the
    first in lexicographic order, so the palette is always the same.

    Returns:
        (K, 3) float32 grey levels.

    Raises:
        ValueError: more classes than the lattice has points.
    """
    levels = np.linspace(0, 255, 9)
    lattice = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    surface = lattice[np.any((lattice == 0) | (lattice == 255), axis=1)]
    if num_classes > len(surface):
        raise ValueError(f"{num_classes} classes do not fit the spread palette: {len(surface)} do")
    chosen = [255.0 * np.asarray(corner) for corner in _OPPOSITE_CORNERS[:num_classes]]
    while len(chosen) < num_classes:
        distance = np.square(surface[:, None] - np.asarray(chosen)).sum(axis=2).min(axis=1)
        chosen.append(surface[np.argmax(distance)])
    return np.rint(np.asarray(chosen)).astype(np.float32)


_OPPOSITE_CORNERS = (
    (0, 0, 0),
    (1, 1, 1),
    (1, 0, 0),
    (0, 1, 1),
    (0, 1, 0),
    (1, 0, 1),
    (0, 0, 1),
    (1, 1, 0),
)
