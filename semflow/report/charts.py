"""The charts of the page: values by evaluations or over another axis, and bars by class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from semflow.report import svg
from semflow.report.formats import Color, mean_count, percent

_MARKERS = "os^DvP"
_DASHES = ((4, 2), (1, 2), (6, 2, 1, 2), (2, 1), (8, 2), (1, 1))
_WIDTH, _HEIGHT = 440, 270  # of a phone; wider pages scale it up
_KEY = (26, 12)
_HATCHED, _PALE = 1, 2
_NAME, _BAR, _SLOT, _BETWEEN = 20, 12, 15, 13  # heights in a group of bars, pixels
_LEFT, _RIGHT = 2, 50

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
    """Values from zero over a linear axis, without numbers: its points may be many.

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


def class_bars(
    title: str,
    classes: Sequence[tuple[str, Color]],
    ious: Mapping[str, Sequence[float | None]],
    absent: Collection[str],
) -> Chart:
    """A group of bars for each class, in two columns.

    Args:
        title: Above the chart.
        classes: Name and display colour of each class.
        ious: In [0, 1], in class order, of at most three segmenters by name; None where undefined.
        absent: Names of classes that no label holds; they get no bars.

    Raises:
        ValueError: More segmenters than styles of bars, or other numbers of IoUs and classes.
    """
    if len(ious) > _PALE + 1:
        raise ValueError(f"{len(ious)} segmenters, {_PALE + 1} styles of bars")
    rows = list(zip(classes, *ious.values(), strict=True))
    half = (len(rows) + 1) // 2
    with matplotlib.style.context(["default", svg.STYLE]):
        drawings = [
            _column(title, list(ious), part, absent) for part in (rows[:half], rows[half:]) if part
        ]
        keys = [_bar_key(f"{title} {style}", style) for style in range(len(ious))]
    return Chart(title, list(zip(keys, ious, strict=True)), drawings)


def _look_of_line(place: int) -> dict[str, Any]:
    number = place % len(svg.SERIES)
    marker = {"marker": _MARKERS[number], "markersize": 9, "markeredgewidth": 1.5}
    return {"color": svg.SERIES[number], "linewidth": 2.5, **marker, "markeredgecolor": svg.SURFACE}


def _look_of_level(number: int, place: int) -> dict[str, Any]:
    dashes = _DASHES[number % len(_DASHES)]
    return {"color": svg.SERIES[place % len(svg.SERIES)], "linewidth": 2, "linestyle": (0, dashes)}


def _curves(lines: Mapping[str, Points], levels: Mapping[str, float], from_zero: bool) -> Axes:
    axes = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72)).add_axes((0.105, 0.165, 0.855, 0.76))
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
    looks = [_look_of_line(i) for i in range(len(lines))]
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


def _column(
    title: str,
    segmenters: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    absent: Collection[str],
) -> Markup:
    codes = list(map(svg.code, range(len(rows))))
    counts = [1 if name in absent else len(segmenters) for (name, _), *_ in rows]
    heights = [_NAME + _SLOT * count + _BETWEEN for count in counts]
    tops = [sum(heights[:i]) for i in range(len(rows))]
    axes = svg.canvas(_WIDTH, sum(heights))
    for ((name, color), *ious), code, top in zip(rows, codes, tops, strict=True):
        axes.bar([_LEFT + 6], [12], 12, [top + 2], color=code, edgecolor=svg.MUTED, linewidth=1)
        axes.text(_LEFT + 20, top + 13, name, weight="bold")
        if name in absent:
            note = "does not occur in the tested labels"
            axes.text(_LEFT, top + _NAME + 11, note, style="italic", color=svg.MUTED)
            continue
        for style, iou in enumerate(ious):
            place = top + _NAME + _SLOT * style + _BAR / 2
            length = (iou or 0.0) * (_WIDTH - _LEFT - _RIGHT)
            bar = _draw_bar(axes, style, place, length, code, color)
            axes.bar_label(bar, [percent(iou)], padding=6, gid=svg.NUMBER)
    spoken = (f"{name} {', '.join(map(percent, ious))}" for (name, _), *ious in rows)
    label = f"{title}, by {', '.join(segmenters)}: {'; '.join(spoken)}."
    return svg.html(axes, label, label, [f"rgb{color}" for (_, color), *_ in rows])


def _draw_bar(
    axes: Axes, style: int, place: float, length: float, code: str, color: Color
) -> BarContainer:
    # Fill and hatching tell segmenters apart, since colour already tells classes apart.
    face = (code, 0.12 if style == _PALE else 1.0)
    bar = axes.barh(place, length, _BAR, _LEFT, color=[face], edgecolor=svg.MUTED, linewidth=1)
    if style == _HATCHED:
        # Stripes must show on light classes as on dark ones, whatever the page's own colours.
        luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
        stripes = svg.DARK if luma > 140 else svg.LIGHT
        axes.barh(
            place, length, _BAR, _LEFT, fill=False, linewidth=0, edgecolor=stripes, hatch="////"
        )
    return bar


def _line_key(salt: str, look: Mapping[str, Any]) -> Markup:
    axes = svg.canvas(*_KEY)
    axes.plot([1, 13, 25], [6, 6, 6], markevery=[1], **look)
    return svg.html(axes, salt)


def _bar_key(salt: str, style: int) -> Markup:
    axes = svg.canvas(*_KEY)
    _draw_bar(axes, style, 6, 22, svg.MUTED, (0, 0, 0))
    return svg.html(axes, salt)
