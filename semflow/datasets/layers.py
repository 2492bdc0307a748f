"""Painting transparent layers on a background, scaled and shifted: image and label together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import load_image

Pixels = NDArray[np.uint8]

OPAQUE = 127
"""A pixel takes the class of a layer that covers more of it than this, of 255."""
FILTER = Image.Resampling.HAMMING
"""No weight is negative, so that no colour goes beyond the layers' own."""
REACH = 1.0
"""Half the filter's width, in pixels of the coarser one of source and image."""


@dataclass(frozen=True)
class Window:
    """Where a layer's frame comes to lie in the image.

    Args:
        size: Side of the image, pixels.
        scale: Side of the frame, in sides of the image.
        across: The frame's centre is so far right of the image's, in sides of the image.
        down: The frame's lower edge is so far below the image's, in sides of the image.
    """

    size: int
    scale: float
    across: float
    down: float


@dataclass(frozen=True)
class Layer:
    """What of a square layer is not transparent.

    Args:
        pixels: (h, w, 4) uint8, colours multiplied by coverage; read-only. Beyond it the layer is
            as its nearest pixel: transparent, or a part that touches the frame and goes on.
        left: Of `pixels` in the frame, pixels.
        top: The same from above.
        side: Of the frame, pixels.
    """

    pixels: Pixels
    left: int
    top: int
    side: int


@dataclass(frozen=True)
class _Span:
    """What one axis of a layer fills in an image.

    Args:
        filled: Pixels of the image.
        padding: Pixels that the layer's own lack before and after for all of them to be filtered.
        begin: Where the filled ones begin in the padded layer, pixels.
        end: Where they end.
    """

    filled: slice
    padding: tuple[int, int]
    begin: float
    end: float

    def __len__(self) -> int:
        return max(0, self.filled.stop - self.filled.start)


def read_layer(path: Path) -> Layer:
    """A square PNG with transparency; each process decodes it once.

    Raises:
        UnreadableSample: It is missing, unreadable or not square.
    """
    return _layer(*_version(path))


def read_backdrop(path: Path, size: int) -> Pixels:
    """A picture scaled to (size, size, 3) uint8, read-only; each process decodes it once.

    Raises:
        UnreadableSample: It is missing or unreadable.
    """
    return _backdrop(*_version(path), size)


def paint(image: Pixels, label: Pixels, layer: Layer, window: Window, class_id: int) -> None:
    """Lays a layer over an image and its label, in place.

    Args:
        image: (S, S, 3) uint8, RGB.
        label: (S, S) uint8, class ids.
        layer: What to lay.
        window: Where; S is its size.
        class_id: Of the layer.
    """
    step = layer.side / (window.scale * window.size)
    left = layer.side / 2 - (0.5 + window.across) * window.size * step
    top = layer.side - (1 + window.down) * window.size * step
    height, width = layer.pixels.shape[:2]
    rows = _span(layer.top, height, layer.side, top, step, window.size)
    columns = _span(layer.left, width, layer.side, left, step, window.size)
    if len(rows) and len(columns):
        over = _resample(layer.pixels, rows, columns)
        coverage = over[..., 3:]
        place = rows.filled, columns.filled
        under = image[place] * (255 - coverage.astype(np.uint16))
        # Neither term is rounded beyond its share of 255, so that their sum fits.
        image[place] = over[..., :3] + ((under + 127) // 255).astype(np.uint8)
        label[place][coverage[..., 0] > OPAQUE] = class_id


def _span(start: int, length: int, side: int, origin: float, step: float, size: int) -> _Span:
    """One axis of a layer's pixels in an image.

    Args:
        start: Of the pixels in the frame.
        length: Number of the pixels.
        side: Of the frame.
        origin: Where the image begins in the frame, pixels of the frame.
        step: Pixels of the frame for one of the image.
        size: Of the image.
    """
    reach = REACH * max(step, 1.0)
    first, last = 0, size
    if start > 0:
        first = max(first, math.floor((start - reach - origin) / step))
    if start + length < side:
        last = min(last, math.ceil((start + length + reach - origin) / step))
    begin, end = origin + first * step - start, origin + last * step - start
    before = max(0, math.ceil(reach - begin))
    after = max(0, math.ceil(end + reach - length))
    return _Span(slice(first, last), (before, after), begin + before, end + before)


def _resample(pixels: Pixels, rows: _Span, columns: _Span) -> Pixels:
    """What fills the two spans, (len(rows), len(columns), 4) uint8."""
    source = np.pad(pixels, (rows.padding, columns.padding, (0, 0)), mode="edge")
    shape = source.shape[1], source.shape[0]
    # Multiplied by coverage already: as RGBA Pillow would do it again.
    picture = Image.frombytes("RGBa", shape, source.tobytes())
    box = (columns.begin, rows.begin, columns.end, rows.end)
    return np.asarray(picture.resize((len(columns), len(rows)), FILTER, box))


def _version(path: Path) -> tuple[Path, int, int]:
    """A file as it is now: its path, size and time."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise UnreadableSample(f"{path.name} is missing") from None
    return path, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1024)
def _layer(path: Path, _size: int, _time: int) -> Layer:
    picture = load_image(path).convert("RGBA")
    width, height = picture.size
    if width != height:
        raise UnreadableSample(f"{path.name} is {width}x{height}, a layer is square")
    left, top, right, bottom = picture.getchannel("A").getbbox() or (0, 0, 1, 1)
    # With a transparent margin, unless the part touches the frame there.
    left, top = max(left - 1, 0), max(top - 1, 0)
    right, bottom = min(right + 1, width), min(bottom + 1, height)
    pixels = np.asarray(picture.crop((left, top, right, bottom)).convert("RGBa"))
    return Layer(pixels, left, top, width)


@lru_cache(maxsize=64)
def _backdrop(path: Path, _size: int, _time: int, size: int) -> Pixels:
    return np.asarray(load_image(path).convert("RGB").resize((size, size), FILTER))
