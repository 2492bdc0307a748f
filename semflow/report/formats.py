"""Values as the page writes them: numbers, label maps in words, parameters as YAML, pictures."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from semflow.core.labels import IGNORE_INDEX
from semflow.shards.tar import png_bytes

Color = tuple[int, int, int]
"""Red, green and blue, grey levels in 0..255."""

NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
# An alternative text names what matters; a class on a handful of pixels does not.
_NAMED_CLASSES = 4


def percent(fraction: float | None) -> str:
    """A fraction in [0, 1] as a percentage with one decimal and no sign; a dash for None."""
    return NOTHING if fraction is None else f"{100 * fraction:.1f}"


def with_percent(fraction: float | None) -> str:
    """A fraction in [0, 1] as a percentage with its sign, for running text."""
    return NOTHING if fraction is None else f"{percent(fraction)}{_SPACE}%"


def plain(value: float | None) -> str:
    """A number of any size with four digits; a dash for None."""
    return NOTHING if value is None else f"{value:.4g}"


def writer_for(values: Sequence[float], digits: int = 4) -> Callable[[float], str]:
    """How to write numbers that stand together: all with the same decimals.

    Args:
        values: All that will be written.
        digits: How many are shown of the largest; those before the point are never dropped.
    """
    largest = max((abs(value) for value in values), default=0.0)
    before = math.floor(math.log10(largest)) + 1 if largest > 0 else 1
    decimals = max(0, digits - before)
    return lambda value: f"{value:.{decimals}f}".replace("-", _MINUS)


def count(value: int) -> str:
    """A count with a comma for every thousand."""
    return f"{value:,}"


def mean_count(value: float | None) -> str:
    """A mean of counts, to one decimal where it is no whole number; a dash where there is none."""
    return NOTHING if value is None else f"{round(value, 1):,.10g}"


def counted(value: int, noun: str) -> str:
    """A count with its noun: "1 step", "25 steps"."""
    return f"{count(value)}{_SPACE}{noun}" + ("" if value == 1 else "s")


def size(resolution: tuple[int, int]) -> str:
    """Height and width as "64 x 64 pixels" with a multiplication sign."""
    height, width = resolution
    return f"{height}{_SPACE}\N{MULTIPLICATION SIGN}{_SPACE}{width} pixels"


def compared(fraction: float, other: float) -> str:
    """How one percentage stands to another, in points: "2.8 points below"."""
    points = round(100 * fraction, 1) - round(100 * other, 1)
    if abs(points) < 0.05:
        return "level with"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"


def listed(words: Sequence[str]) -> str:
    """Words as a phrase: "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def described(label: NDArray[np.uint8], names: Sequence[str]) -> str:
    """A label map in words: its most frequent classes with their shares.

    Args:
        label: (H, W) uint8 ids.
        names: Class names by id; other ids are no class.
    """
    ids, pixels = np.unique(label, return_counts=True)
    # Ties go to the lower id, so that the words do not depend on how a sort treats them.
    order = np.lexsort((ids, -pixels))
    parts = [
        f"{names[ids[i]] if ids[i] < len(names) else 'no class'} {100 * pixels[i] / label.size:.0f}"
        " %"
        for i in order[:_NAMED_CLASSES]
    ]
    rest = len(order) - len(parts)
    return listed(parts + ([f"{rest} more"] if rest > 0 else []))


def agreement(prediction: NDArray[np.uint8], label: NDArray[np.uint8]) -> float | None:
    """The share of labelled pixels that a segmentation has right.

    Args:
        prediction: (H, W) uint8 ids.
        label: (H, W) uint8 ids, 255 = no class.

    Returns:
        A fraction in [0, 1]; None where no pixel is labelled.
    """
    labelled = label != IGNORE_INDEX
    return float(np.mean(prediction[labelled] == label[labelled])) if labelled.any() else None


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 as a PNG inside an address."""
    return f"data:image/png;base64,{base64.b64encode(png_bytes(pixels)).decode('ascii')}"


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain values in the manner of params.yaml, in their own order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None  # lists and small groups stay on one line
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = 100
    text = io.StringIO()
    yaml.dump(values, text)
    return text.getvalue()
