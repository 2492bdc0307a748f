"""Bars by class, a group for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from semflow.report import svg
from semflow.report.charts import Chart
from semflow.report.formats import Color, percent

_HATCHED, _PALE = 1, 2
_NAME, _BAR, _SLOT, _BETWEEN = 20, 12, 15, 13  # heights in a group of bars, pixels
_LEFT, _RIGHT = 2, 50


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
    axes = svg.canvas(svg.WIDTH, sum(heights))
    for ((name, color), *ious), code, top in zip(rows, codes, tops, strict=True):
        axes.bar([_LEFT + 6], [12], 12, [top + 2], color=code, edgecolor=svg.MUTED, linewidth=1)
        axes.text(_LEFT + 20, top + 13, name, weight="bold")
        if name in absent:
            note = "does not occur in the tested labels"
            axes.text(_LEFT, top + _NAME + 11, note, style="italic", color=svg.MUTED)
            continue
        for style, iou in enumerate(ious):
            place = top + _NAME + _SLOT * style + _BAR / 2
            length = (iou or 0.0) * (svg.WIDTH - _LEFT - _RIGHT)
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


def _bar_key(salt: str, style: int) -> Markup:
    axes = svg.canvas(*svg.KEY)
    _draw_bar(axes, style, 6, 22, svg.MUTED, (0, 0, 0))
    return svg.html(axes, salt)
