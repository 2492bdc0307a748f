"""The charts of the page that have lines: values by evaluations, or over another axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from semflow.report import svg
from semflow.report.formats import mean_count

_MARKERS = "os^DvP"
_MOST_MARKED = 30  # points of a line; more marks would hide it
_STYLES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (3, 1, 1, 1, 1, 1)))
_DASHES = ((4, 2), (1, 2), (6, 2, 1, 2), (2, 1), (8, 2), (1, 1))
_HEIGHT = 270

Points = Sequence[tuple[float, float]]
"""Places on the horizontal axis, such as network evaluations, and values; left to right."""


@dataclass(frozen=True)
class Chart:
    """Drawings under one title and legend.

    Args:
        title: Plain text.
        legend: A small drawing of each mark, and what it stands for.
        drawings: SVG elements that stand beside each other where the page is wide enough.
    """

    title: str
    legend: Sequence[tuple[Markup, str]]
    drawings: Sequence[Markup]


@dataclass(frozen=True)
class Axis:
    """A linear horizontal axis.

    Args:
        label: Below it.
        ticks: Where numbers stand, increasing; it reaches from the first to the last.
    """

    label: str
    ticks: Sequence[float]


def round_ticks(last: float) -> list[float]:
    """Some whole numbers that are round, from 0 to `last` or a little beyond."""
    ticks = MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]).tick_values(0, last)
    return [float(tick) for tick in ticks]


def evaluations_chart(
    title: str,
    lines: Mapping[str, Points],
    levels: Mapping[str, float],
    write: Callable[[float], str],
    from_zero: bool = False,
) -> Chart:
    """Values by number of network evaluations, on a logarithmic axis.

    Args:
        title: Above the chart.
        lines: By name, none without a point; the first has its numbers beside its points. Without
            any line there is nothing to draw.
        levels: Values that do not depend on evaluations, by name.
        write: A value as text.
        from_zero: Whether the axis must begin at zero, as a distance's should.
    """
    if not lines:
        return Chart(title, [], [])
    with matplotlib.style.context(["default", svg.STYLE]):
        axes = _curves(lines, levels, from_zero)
        _scale_evaluations(axes, [point for points in lines.values() for point in points])
        for point in next(iter(lines.values())):
            _write_number(axes, point, write(point[1]), list(levels.values()))
        return _finished(axes, title, lines, levels, write, _spoken(title, lines, levels, write))


def linear_chart(
    title: str,
    axis: Axis,
    lines: Mapping[str, Points],
    levels: Mapping[str, float],
    write: Callable[[float], str],
    spoken: str,
) -> Chart:
    """Values from zero over a linear axis, without numbers, and without marks if there are many.

    Args:
        title: Above the chart.
        axis: The horizontal one.
        lines: By name, none without a point; without any line there is nothing to draw.
        levels: Values that hold everywhere, by name.
        write: A value as text.
        spoken: The drawing in words.
    """
    if not lines:
        return Chart(title, [], [])
    with matplotlib.style.context(["default", svg.STYLE]):
        axes = _curves(lines, levels, from_zero=True)
        left, right = axis.ticks[0], axis.ticks[-1]
        margin = 0.03 * (right - left or 1.0)
        axes.set_xlim(left - margin, right + margin)
        axes.set_xticks(axis.ticks, [f"{tick:g}" for tick in axis.ticks])
        axes.set_xlabel(axis.label, labelpad=6)
        return _finished(axes, title, lines, levels, write, spoken)


def _look_of_line(place: int, count: int) -> dict[str, Any]:
    number = place % len(svg.SERIES)
    look = {"color": svg.SERIES[number], "linewidth": 2.5}
    if count > _MOST_MARKED:
        return {**look, "linestyle": _STYLES[number]}
    marker = {"marker": _MARKERS[number], "markersize": 9, "markeredgewidth": 1.5}
    return {**look, **marker, "markeredgecolor": svg.SURFACE}


def _look_of_level(number: int, place: int) -> dict[str, Any]:
    dashes = _DASHES[number % len(_DASHES)]
    return {"color": svg.SERIES[place % len(svg.SERIES)], "linewidth": 2, "linestyle": (0, dashes)}


def _curves(lines: Mapping[str, Points], levels: Mapping[str, float], from_zero: bool) -> Axes:
    axes = Figure(figsize=(svg.WIDTH / 72, _HEIGHT / 72)).add_axes((0.105, 0.165, 0.855, 0.76))
    values = [value for points in lines.values() for _, value in points] + list(levels.values())
    low = min(0.0, *values) if from_zero else min(values)
    ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, max(values))
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(ticks[0], ticks[-1])
    axes.tick_params(length=0, pad=8)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    looks = _looks(lines, levels)
    for height, look in zip(levels.values(), looks[len(lines) :], strict=True):
        axes.axhline(height, **look)
    # The first line last, above all others.
    for points, look in reversed(list(zip(lines.values(), looks, strict=False))):
        axes.plot(*zip(*points, strict=True), clip_on=False, **look)
    return axes


def _looks(lines: Mapping[str, Points], levels: Mapping[str, float]) -> list[dict[str, Any]]:
    looks = [_look_of_line(i, len(points)) for i, points in enumerate(lines.values())]
    return looks + [_look_of_level(i, len(lines) + i) for i in range(len(levels))]


def _scale_evaluations(axes: Axes, points: Points) -> None:
    costs = sorted({cost for cost, _ in points})
    axes.set_xscale("log")
    axes.set_xticks(costs, list(map(mean_count, costs)))
    axes.xaxis.set_minor_locator(NullLocator())
    margin = max(costs[-1] / costs[0], 2.0) ** 0.04
    axes.set_xlim(costs[0] / margin, costs[-1] * margin)
    axes.set_xlabel("network evaluations, logarithmic", labelpad=6)


def _finished(
    axes: Axes,
    title: str,
    lines: Mapping[str, Points],
    levels: Mapping[str, float],
    write: Callable[[float], str],
    spoken: str,
) -> Chart:
    drawing = svg.html(axes, title, spoken)
    keys = [_line_key(f"{title} {i}", look) for i, look in enumerate(_looks(lines, levels))]
    names = [*lines, *(f"{name} {write(value)}" for name, value in levels.items())]
    return Chart(title, list(zip(keys, names, strict=True)), [drawing])


def _write_number(
    axes: Axes, point: tuple[float, float], text: str, heights: Sequence[float]
) -> None:
    # Above the point, unless a level's line would strike the number through there but not below.
    place = axes.transData.transform(point)[1]
    rises = [axes.transData.transform((1, height))[1] - place for height in heights]
    below = any(4 < rise < 26 for rise in rises) and not any(-26 < rise < -4 for rise in rises)
    axes.annotate(
        text,
        point,
        xytext=(0, -8 if below else 8),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment="top" if below else "bottom",
        gid=svg.NUMBER,
    )


def _spoken(
    title: str,
    lines: Mapping[str, Points],
    levels: Mapping[str, float],
    write: Callable[[float], str],
) -> str:
    parts = [
        f"{name}: {', '.join(f'{write(value)} at {mean_count(cost)}' for cost, value in points)}"
        for name, points in lines.items()
    ]
    parts += [f"{name}: {write(value)}" for name, value in levels.items()]
    return f"{title}, by network evaluations. {'; '.join(parts)}."


def _line_key(salt: str, look: Mapping[str, Any]) -> Markup:
    axes = svg.canvas(*svg.KEY)
    axes.plot([1, 13, 25], [6, 6, 6], markevery=[1], **look)
    return svg.html(axes, salt)
