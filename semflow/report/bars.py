"""Bars of per-class IoU: one group for each class, in the class's display colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflow.report.charts import WIDTH, figure, key
from semflow.report.content import Color
from semflow.report.formats import percent
from semflow.report.markup import Markup, element, join, rgb

_BAR, _GAP, _NAME, _BETWEEN = 12.0, 3.0, 20.0, 13.0
_LEFT, _RIGHT = 2.0, 50.0
# Fill and hatching tell segmenters apart, since colour already tells classes apart.
_FILLS = (1.0, 1.0, 0.12)
_HATCHED = 1
_LEGEND_COLOR = (128, 138, 148)


@dataclass(frozen=True)
class ClassBars:
    """The IoUs of one class.

    Args:
        name: of the class.
        color: its display colour, grey levels.
        ious: in [0, 1], one for each segmenter; None where it is not defined.
        occurs: whether the class is in any tested label.
    """

    name: str
    color: Color
    ious: Sequence[float | None]
    occurs: bool


def class_bars(title: str, segmenters: Sequence[str], classes: Sequence[ClassBars]) -> Markup:
    """The chart with its title and legend, as a figure.

    Args:
        title: above the chart.
        segmenters: at most three names, in the order of the IoUs.
        classes: one group of bars each; a class that does not occur is named without bars.

    Raises:
        ValueError: more segmenters than styles, or a class with another number of IoUs.
    """
    if len(segmenters) > len(_FILLS):
        raise ValueError(f"{len(segmenters)} segmenters, {len(_FILLS)} bar styles")
    for row in classes:
        if len(row.ious) != len(segmenters):
            raise ValueError(f"{row.name}: {len(row.ious)} IoUs, {len(segmenters)} segmenters")
    samples = (
        key(_bar(1, 0.5, 24, 11, _LEGEND_COLOR, style), name)
        for style, name in enumerate(segmenters)
    )
    half = (len(classes) + 1) // 2
    columns = (_column(title, part) for part in (classes[:half], classes[half:]) if part)
    return figure(
        title,
        element("span", *samples, class_="legend"),
        element("div", _hatchings(), *columns, class_="beside"),
    )


def _column(title: str, classes: Sequence[ClassBars]) -> Markup:
    groups, y = [], 0.0
    for row in classes:
        groups.append(_group(row, y))
        y += _height(row)
    return element(
        "svg",
        *groups,
        viewBox=f"0 0 {WIDTH:g} {y:g}",
        role="img",
        aria_label=f"{title}: {', '.join(row.name for row in classes)}. "
        "The table below has the same numbers.",
    )


def _height(row: ClassBars) -> float:
    return _NAME + (len(row.ious) * (_BAR + _GAP) if row.occurs else 0) + _BETWEEN


def _group(row: ClassBars, y: float) -> Markup:
    color = rgb(row.color)
    swatch = element("rect", x=_LEFT, y=y + 3, width=12, height=12, fill=color, class_="edge")
    name = element("text", row.name, x=_LEFT + 19, y=y + 14, class_="name")
    if not row.occurs:
        note = element("tspan", " does not occur in the tested labels", class_="note")
        name = element("text", row.name, note, x=_LEFT + 19, y=y + 14, class_="name")
        return element("g", swatch, name)
    bars = (
        _labelled_bar(y + _NAME + i * (_BAR + _GAP), iou, row.color, i)
        for i, iou in enumerate(row.ious)
    )
    return element("g", swatch, name, *bars)


def _labelled_bar(y: float, iou: float | None, color: Color, style: int) -> Markup:
    length = (iou or 0.0) * (WIDTH - _LEFT - _RIGHT)
    value = element("text", percent(iou), x=_LEFT + length + 7, y=y + _BAR - 1.5, class_="value")
    return join([_bar(_LEFT, y, length, _BAR, color, style), value])


def _bar(x: float, y: float, width: float, height: float, color: Color, style: int) -> Markup:
    box = {"x": x, "y": y, "width": max(width, 1.0), "height": height}
    bar = element("rect", **box, fill=rgb(color), fill_opacity=_FILLS[style], class_="edge")
    if style != _HATCHED:
        return bar
    # Stripes must show on light classes as on dark ones, whatever the page's own colours.
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    stripes = "url(#stripes-dark)" if luma > 140 else "url(#stripes-light)"
    return join([bar, element("rect", **box, fill=stripes, class_="edge")])


def _hatchings() -> Markup:
    patterns = (_hatching("stripes-dark", "#444"), _hatching("stripes-light", "#fff"))
    return element(
        "svg", element("defs", *patterns), width=0, height=0, class_="defs", aria_hidden="true"
    )


def _hatching(name: str, color: str) -> Markup:
    stripe = element("line", x1=0, y1=0, x2=0, y2=5, stroke=color, stroke_width=2)
    return element(
        "pattern",
        stripe,
        id=name,
        width=5,
        height=5,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
