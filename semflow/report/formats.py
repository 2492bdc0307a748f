"""Numbers and counts as the page writes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"


def percent(fraction: float | None) -> str:
    """A fraction in [0, 1] as a percentage with one decimal and no sign; a dash for None."""
    return NOTHING if fraction is None else f"{100 * fraction:.1f}"


def with_percent(fraction: float) -> str:
    """A fraction in [0, 1] as a percentage with its sign, for running text."""
    return f"{percent(fraction)}{_SPACE}%"


def writer_for(values: Sequence[float], digits: int = 4) -> Callable[[float], str]:
    """How to write numbers that stand together: all with the same decimals.

    Args:
        values: all that will be written.
        digits: shown of the largest, without dropping digits before the point.
    """
    largest = max((abs(value) for value in values), default=0.0)
    before = math.floor(math.log10(largest)) + 1 if largest > 0 else 1
    decimals = max(0, digits - before)
    return lambda value: f"{value:.{decimals}f}".replace("-", _MINUS)


def count(value: int) -> str:
    """A count with a comma for every thousand."""
    return f"{value:,}"


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
