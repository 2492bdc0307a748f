"""Charts as inline SVG, drawn for a phone's width and scaled up from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from semflow.report.markup import Markup, element, join

WIDTH = 440.0
_HEIGHT = 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 18.0, 20.0, 44.0
_PLOT_BOTTOM = _HEIGHT - _BOTTOM
_PLOT_RIGHT = WIDTH - _RIGHT


@dataclass(frozen=True)
class Level:
    """A value that does not depend on steps, drawn as a horizontal line.

    Args:
        name: for the legend.
        value: in the units of the axis.
    """

    name: str
    value: float


@dataclass(frozen=True)
class StepsChart:
    """A quantity by the number of solver steps, on a logarithmic axis.

    Args:
        title: above the chart.
        series: names what the points are.
        points: number of steps and value.
        levels: horizontal lines; at most three have line styles of their own.
        write: a value as text.
        from_zero: whether the axis must begin at zero, as a distance's should.
    """

    title: str
    series: str
    points: Sequence[tuple[int, float]]
    levels: Sequence[Level]
    write: Callable[[float], str]
    from_zero: bool = False


def steps_chart(chart: StepsChart) -> Markup:
    """The chart with its title and legend, as a figure.

    Raises:
        ValueError: no points.
    """
    if not chart.points:
        raise ValueError(f"{chart.title}: a chart needs a point")
    ticks = _ticks_of(chart)
    top, bottom = ticks[-1], ticks[0]

    def height_of(value: float) -> float:
        """Where a value lies, from the top of the chart."""
        return _PLOT_BOTTOM - (value - bottom) / (top - bottom) * (_PLOT_BOTTOM - _TOP)

    across = _step_positions([steps for steps, _ in chart.points])
    heights = [height_of(value) for _, value in chart.points]
    levels = [height_of(level.value) for level in chart.levels]
    labels = [
        _point_label(x, y, chart.write(value), levels)
        for x, y, (_, value) in zip(across, heights, chart.points, strict=True)
    ]
    drawing = element(
        "svg",
        *(_grid_line(height_of(tick), f"{tick:g}") for tick in ticks),
        *(_level_line(y, style) for style, y in enumerate(levels)),
        _series(across, heights),
        *labels,
        *(_step_label(x, steps) for x, (steps, _) in zip(across, chart.points, strict=True)),
        _text((_LEFT + _PLOT_RIGHT) / 2, _HEIGHT - 6, "solver steps, logarithmic", "middle"),
        viewBox=f"0 0 {WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=_spoken(chart),
    )
    return figure(chart.title, _legend(chart), drawing)


def figure(title: str, legend: Markup, drawing: Markup) -> Markup:
    """A drawing under its title and legend."""
    return element("figure", element("figcaption", element("strong", title), legend), drawing)


def key(swatch: Markup, text: str) -> Markup:
    """One entry of a legend: a sample of the mark and what it stands for."""
    sample = element(
        "svg", swatch, viewBox="0 0 26 12", width=26, height=12, aria_hidden="true", class_="key"
    )
    return element("span", sample, text, class_="entry")


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers, evenly spaced, from at or below `low` to at or above `high`.

    Args:
        low: the smallest value to cover.
        high: the largest.
        wanted: about how many intervals.
    """
    span = high - low or abs(high) or 1.0
    magnitude = 10 ** math.floor(math.log10(span / wanted))
    step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= span / wanted)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    # Multiplying by the step and not adding it up keeps ticks free of accumulated rounding.
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _ticks_of(chart: StepsChart) -> list[float]:
    values = [value for _, value in chart.points] + [level.value for level in chart.levels]
    return nice_ticks(min(0.0, *values) if chart.from_zero else min(values), max(values))


def _step_positions(steps: Sequence[int]) -> list[float]:
    low, high = math.log(min(steps)), math.log(max(steps))
    inset = 14.0
    left, right = _LEFT + inset, _PLOT_RIGHT - inset
    if low == high:
        return [(left + right) / 2 for _ in steps]
    return [left + (math.log(s) - low) / (high - low) * (right - left) for s in steps]


def _grid_line(y: float, label: str) -> Markup:
    line = element("line", x1=_LEFT, x2=_PLOT_RIGHT, y1=y, y2=y, class_="grid")
    return join([line, _text(_LEFT - 8, y + 4, label, "end")])


def _level_line(y: float, style: int) -> Markup:
    return element("line", x1=_LEFT, x2=_PLOT_RIGHT, y1=y, y2=y, class_=f"level level{style % 3}")


def _series(across: Sequence[float], heights: Sequence[float]) -> Markup:
    points = list(zip(across, heights, strict=True))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = (element("circle", cx=x, cy=y, r=4.5, class_="point") for x, y in points)
    return join([element("polyline", points=path, class_="series"), *dots])


def _point_label(x: float, y: float, value: str, levels: Sequence[float]) -> Markup:
    # Above the point, unless a level's line would strike the number through there but not below.
    above, below = y - 10, y + 21
    struck_above, struck_below = (
        any(baseline - 13 < level < baseline + 3 for level in levels) for baseline in (above, below)
    )
    return _text(x, below if struck_above and not struck_below else above, value, "middle", "value")


def _step_label(x: float, steps: int) -> Markup:
    return _text(x, _PLOT_BOTTOM + 18, str(steps), "middle")


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _legend(chart: StepsChart) -> Markup:
    series = join(
        [
            element("line", x1=1, x2=25, y1=6, y2=6, class_="series"),
            element("circle", cx=13, cy=6, r=4.5, class_="point"),
        ]
    )
    levels = (
        key(
            element("line", x1=1, x2=25, y1=6, y2=6, class_=f"level level{i % 3}"),
            f"{level.name} {chart.write(level.value)}",
        )
        for i, level in enumerate(chart.levels)
    )
    return element("span", key(series, chart.series), *levels, class_="legend")


def _spoken(chart: StepsChart) -> str:
    points = ", ".join(f"{chart.write(y)} at {x}" for x, y in chart.points)
    levels = "".join(f"; {level.name}: {chart.write(level.value)}" for level in chart.levels)
    return f"{chart.title}, by solver steps. {chart.series}: {points}{levels}."
