"""The confusion matrix as a table: what the pixels of each class were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflow.report.formats import NOTHING

MOST_CLASSES = 20
"""Classes with a row and a column of their own; beyond, a table cannot be read."""
OTHERS, NO_CLASS = "Other classes", "No class"
LARGEST = 3

Counts = Sequence[Sequence[int]]
"""Pixels by label and prediction, K rows of K + 1; the last column is no class."""


@dataclass(frozen=True)
class ConfusionRow:
    """What the pixels of one class were taken for.

    Args:
        name: Of the class.
        part: Share of the labelled pixels that are of it; None where no pixel is labelled.
        shares: Of its pixels, by column; None where it has none.
        own: The column of the class itself.
    """

    name: str
    part: float | None
    shares: tuple[float | None, ...]
    own: int


@dataclass(frozen=True)
class ConfusionTable:
    """A row for each class that is shown.

    Args:
        columns: Names of the classes shown, and of what else pixels were taken for.
        rows: In class order.
        left_out: How many classes have no row.
    """

    columns: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]
    left_out: int


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class that were taken for another.

    Args:
        label: Name of the class that they are.
        prediction: Name of what they were taken for.
        share: Of the pixels of that label.
        part: Of all labelled pixels.
    """

    label: str
    prediction: str
    share: float
    part: float


def confusion_table(names: Sequence[str], counts: Counts) -> ConfusionTable:
    """Each class's pixels by what they were taken for, as shares of its row.

    Args:
        names: K class names.
        counts: Pixels.

    Raises:
        ValueError: Another number of names than of rows.
    """
    if len(names) != len(counts):
        raise ValueError(f"{len(names)} classes, {len(counts)} rows of counts")
    shown = shown_classes(counts)
    others = sorted(set(range(len(names))) - set(shown))
    columns = [(names[place], [place]) for place in shown]
    if others:
        columns.append((OTHERS, others))
    if any(row[-1] for row in counts):
        columns.append((NO_CLASS, [len(names)]))
    everything = sum(map(sum, counts))
    rows = []
    for own, place in enumerate(shown):
        row = counts[place]
        shares = (_ratio(sum(row[one] for one in ids), sum(row)) for _, ids in columns)
        rows.append(ConfusionRow(names[place], _ratio(sum(row), everything), tuple(shares), own))
    return ConfusionTable(tuple(name for name, _ in columns), tuple(rows), len(others))


def shown_classes(counts: Counts) -> list[int]:
    """Ids of the classes that are shown, in order: those with the most labelled pixels."""
    by_pixels = sorted(range(len(counts)), key=lambda place: (-sum(counts[place]), place))
    return sorted(by_pixels[:MOST_CLASSES])


def largest_mistakes(names: Sequence[str], counts: Counts) -> list[Mistake]:
    """The pairs of classes that most pixels fall between, the largest first; some at most."""
    everything = sum(map(sum, counts))
    pairs = sorted(
        (-pixels, label, prediction)
        for label, row in enumerate(counts)
        for prediction, pixels in enumerate(row)
        if pixels and prediction != label
    )
    called = [*names, NO_CLASS.lower()]
    return [
        Mistake(
            called[label], called[prediction], -pixels / sum(counts[label]), -pixels / everything
        )
        for pixels, label, prediction in pairs[:LARGEST]
    ]


def share_text(share: float | None) -> str:
    """A share as a percentage with one decimal; what is not 0 is not written as 0.0."""
    if share is None:
        return NOTHING
    if 0 < share < 0.0005:
        return "<0.1"
    return f"{100 * share:.1f}" if share else "0"


def _ratio(pixels: int, all_pixels: int) -> float | None:
    return pixels / all_pixels if all_pixels else None
