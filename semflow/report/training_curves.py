"""What a training has logged, as charts and as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from semflow.report.charts import Axis, Chart, Points, linear_chart, round_ticks
from semflow.report.formats import count
from semflow.training.curve import TrainingCurve

MOST_POINTS = 60
"""Of a line; more logged values become means of neighbours."""
MOST_ROWS = 12
RATE = "learning_rate"
NAMES = {
    "loss": "All terms, weighted",
    "velocity": "Velocity (Eq. 10)",
    "anchor": "Anchors",
    RATE: "Learning rate",
}
"""Values as readers know them; what is not listed is shown under its own name."""


def loss_chart(curve: TrainingCurve) -> Chart:
    """Every logged value but the learning rate, over steps."""
    values = [name for name in curve.values if name != RATE]
    return _chart("Losses by training step", curve, _in_order(values))


def rate_chart(curve: TrainingCurve) -> Chart:
    """The learning rate over steps, in units of a power of ten, as an axis has room for it."""
    rates = curve.values.get(RATE, [])
    largest = max(rates, default=0.0)
    if largest <= 0:
        return Chart("Learning rate", [], [])
    unit = 10.0 ** math.floor(math.log10(largest))
    scaled = TrainingCurve(steps=curve.steps, values={RATE: [rate / unit for rate in rates]})
    return _chart(f"Learning rate by training step, in units of {unit:g}", scaled, [RATE])


def means(curve: TrainingCurve, name: str, most: int) -> Points:
    """A value over steps, in runs of equally many neighbours so that there are not too many.

    Args:
        curve: What was logged.
        name: Of the value.
        most: Points at most.

    Returns:
        Last step and mean of each run; the last run may be shorter.
    """
    size = run_length(curve, most)
    starts = range(0, len(curve.steps), size)
    runs = [(curve.steps[i : i + size], curve.values[name][i : i + size]) for i in starts]
    return [(steps[-1], fmean(values)) for steps, values in runs]


def run_length(curve: TrainingCurve, most: int) -> int:
    """How many neighbours a point is the mean of."""
    return max(1, -(-len(curve.steps) // most))


def table(curve: TrainingCurve) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Names of the values, and a row of them for each of some steps."""
    names = _in_order(list(curve.values))
    columns = [means(curve, name, MOST_ROWS) for name in names]
    rows = [
        (count(int(points[0][0])), [_write(value) for _, value in points])
        for points in zip(*columns, strict=True)
    ]
    return [NAMES.get(name, name) for name in names], rows


def _in_order(names: Sequence[str]) -> list[str]:
    known = [name for name in NAMES if name in names]
    return known + sorted(set(names) - set(known))


def _chart(title: str, curve: TrainingCurve, names: Sequence[str]) -> Chart:
    if not curve.steps:
        return Chart(title, [], [])
    lines = {NAMES.get(name, name): means(curve, name, MOST_POINTS) for name in names}
    spoken = "; ".join(f"{name}: {_summary(points)}" for name, points in lines.items())
    axis = Axis("training steps", round_ticks(curve.steps[-1]))
    return linear_chart(title, axis, lines, {}, _write, f"{title}. {spoken}.")


def _summary(points: Points) -> str:
    """A line in words: its ends, and its lowest point."""
    (first, start), (last, end) = points[0], points[-1]
    step, lowest = min(points, key=lambda point: (point[1], point[0]))
    return (
        f"{_write(start)} at step {count(int(first))}, {_write(end)} at step {count(int(last))}, "
        f"lowest {_write(lowest)} at step {count(int(step))}"
    )


def _write(value: float) -> str:
    return f"{value:.3g}"
