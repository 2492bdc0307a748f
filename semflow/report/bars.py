"""Bars of per-class IoU: one group for each class, in the class's display colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from semflow.report.charts import WIDTH, figure, key
from semflow.report.formats import percent
from semflow.report.markup import Markup, element, join

_BAR, _GAP, _NAME, _BETWEEN = 11.0, 3.0, 20.0, 13.0
_LEFT, _RIGHT = 2.0, 50.0
# Fill and hatching tell segmenters apart, since colour already tells classes apart.
_FILLS = (1.0, 0.75, 0.12)
_HATCHED = 1


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
    color: tuple[int, int, int]
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
    groups, y = [], 0.0
    for row in classes:
        if len(row.ious) != len(segmenters):
            raise ValueError(f"{row.name}: {len(row.ious)} IoUs, {len(segmenters)} segmenters")
        groups.append(_group(row, y))
        y += _height(row)
    drawing = element(
        "svg",
        element("defs", _hatching()),
        *groups,
        viewBox=f"0 0 {WIDTH:g} {max(y, 1):g}",
        role="img",
        aria_label=f"{title}; the table below has the same numbers.",
    )
    legend = (key(_bar(1, 0.5, 24, 11, "var(--muted)", i), s) for i, s in enumerate(segmenters))
    return figure(title, element("span", *legend, class_="legend"), drawing)


def _height(row: ClassBars) -> float:
    return _NAME + (len(row.ious) * (_BAR + _GAP) if row.occurs else 0) + _BETWEEN


def _group(row: ClassBars, y: float) -> Markup:
    color = "rgb({}, {}, {})".format(*row.color)
    swatch = element("rect", x=_LEFT, y=y + 3, width=12, height=12, fill=color, class_="edge")
    name = element("text", row.name, x=_LEFT + 19, y=y + 14, class_="name")
    if not row.occurs:
        note = element("tspan", " does not occur in the tested labels", class_="note")
        name = element("text", row.name, note, x=_LEFT + 19, y=y + 14, class_="name")
        return element("g", swatch, name)
    bars = (
        _labelled_bar(y + _NAME + i * (_BAR + _GAP), iou, color, i)
        for i, iou in enumerate(row.ious)
    )
    return element("g", swatch, name, *bars)


def _labelled_bar(y: float, iou: float | None, color: str, style: int) -> Markup:
    length = (iou or 0.0) * (WIDTH - _LEFT - _RIGHT)
    value = element("text", percent(iou), x=_LEFT + length + 7, y=y + _BAR - 1.5, class_="value")
    return join([_bar(_LEFT, y, length, _BAR, color, style), value])


def _bar(x: float, y: float, width: float, height: float, color: str, style: int) -> Markup:
    box = {"x": x, "y": y, "width": max(width, 1.0), "height": height}
    bar = element("rect", **box, fill=color, fill_opacity=_FILLS[style], class_="edge")
    if style != _HATCHED:
        return bar
    return join([bar, element("rect", **box, fill="url(#hatching)")])


def _hatching() -> Markup:
    stripe = element("line", x1=0, y1=0, x2=0, y2=6, stroke="var(--surface)", stroke_width=3)
    return element(
        "pattern",
        stripe,
        id="hatching",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
