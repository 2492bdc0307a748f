"""Drawings as inline SVG whose colours are the page's, light or dark.

matplotlib draws with numbers in place of colours, which become CSS colours in the finished SVG.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_THEME = (
    "#000",  # not to be drawn with: matplotlib leaves it out where SVG fills with black by itself
    *("var(--ink)", "var(--muted)", "var(--line)", "var(--surface)", "#444", "#fff"),
    *(f"var(--series{i})" for i in range(6)),
)
_, INK, MUTED, GRID, SURFACE, DARK, LIGHT, *SERIES = (f"#{i:06x}" for i in range(len(_THEME)))
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 14,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "hatch.linewidth": 1.2,
}
"""Settings to draw with, on top of matplotlib's defaults."""
WIDTH = 440
"""Of a drawing, pixels: that of a phone; wider pages scale it up."""
KEY = (26, 12)
"""Width and height of a mark in a legend, pixels."""
NUMBER = "number"
"""Group id of numbers that stand on lines; the style sheet gives them a halo."""


def code(place: int) -> str:
    """What stands for the colour at this place of `html`'s colours while drawing."""
    return f"#{len(_THEME) + place:06x}"


def canvas(width: float, height: float) -> Axes:
    """An empty drawing whose coordinates are pixels from the upper left corner."""
    axes = Figure(figsize=(width / 72, height / 72)).add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_autoscale_on(False)
    return axes


def html(axes: Axes, salt: str, label: str = "", colors: Sequence[str] = ()) -> Markup:
    """A drawing as an element of HTML.

    Args:
        axes: The drawing, in coded colours.
        salt: Makes ids differ from those of the page's other drawings.
        label: The drawing in words; empty for an ornament.
        colors: CSS colours of the codes after those of the theme.
    """
    file = io.StringIO()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.patch.set_visible(False)
    with matplotlib.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        # The page's reader has other fonts than the one that texts are measured in.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    drawn = ElementTree.fromstring(file.getvalue())
    drawn.remove(drawn[0])  # a style sheet, which would hold for the whole page
    for element in drawn.iter():
        _fit_into_html(element, (*_THEME, *colors))
    box = drawn.attrib["viewBox"]
    words = {"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}
    drawn.attrib = {"viewBox": box, **words}
    return Markup(ElementTree.tostring(drawn, encoding="unicode"))


def _fit_into_html(element: ElementTree.Element, colors: Sequence[str]) -> None:
    element.tag = element.tag.split("}")[-1]
    found = {name.split("}")[-1]: value for name, value in element.attrib.items()}
    if element.tag == "g" and found.pop("id", None) == NUMBER:
        found["class"] = NUMBER
    if element.tag == "text":
        found.pop("transform", None)
    if "style" in found:
        css = re.sub("#([0-9a-f]{6})", lambda code: colors[int(code[1], 16)], found["style"])
        found["style"] = re.sub("font-family: [^;]*; ", "", css)
    element.attrib = found
