"""HTML and SVG as text in which everything that is not markup already gets escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from semflow.shards.tar import png_bytes

_VOID = frozenset({"img", "meta", "link", "br"})

Attribute = str | int | float | bool | None


class Markup(str):
    """Text that is markup; a plain `str` is escaped where it enters an element."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: Attribute) -> Markup:
    """One element with its children, escaped unless they are `Markup`.

    Args:
        name: of the element, for instance "p".
        children: what stands in it.
        attributes: underscores become hyphens and a trailing one is dropped, so that `class_` and
            `aria_label` can be written. None and False leave an attribute out, True writes it bare.

    Raises:
        ValueError: children in an element that cannot have any.
    """
    start = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in _VOID:
        if children:
            raise ValueError(f"<{name}> has no children")
        return Markup(start)
    return Markup(f"{start}{join(children)}</{name}>")


def join(parts: Iterable[str]) -> Markup:
    """Parts one after another, escaped unless they are `Markup`."""
    return Markup("".join(p if isinstance(p, Markup) else escape(p) for p in parts))


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    # Hundredths of a pixel are enough for charts, and keep binary fractions out of the page.
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{escape(text)}"'


def rgb(color: tuple[int, int, int]) -> str:
    """Grey levels as a CSS colour."""
    return "rgb({}, {}, {})".format(*color)


def picture(pixels: NDArray[np.uint8], alt: str) -> Markup:
    """(H, W, 3) uint8 as an image that carries its PNG with it."""
    height, width, _ = pixels.shape
    data = base64.b64encode(png_bytes(pixels)).decode("ascii")
    return element("img", src=f"data:image/png;base64,{data}", alt=alt, width=width, height=height)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        head: names the row.
        cells: as many as the table has columns beside the first.
        marked: set off as the row to look at.
    """

    head: str
    cells: Sequence[str]
    marked: bool = False


def table(caption: str, columns: Sequence[str], groups: Sequence[Sequence[Row]]) -> Markup:
    """A table that scrolls sideways where the screen is too narrow for it.

    Args:
        caption: plain text that says what the table shows.
        columns: heads of all columns, that of the row heads first.
        groups: rows, with a rule between two groups.

    Raises:
        ValueError: a row with another number of cells.
    """
    for row in (row for group in groups for row in group):
        if len(row.cells) != len(columns) - 1:
            raise ValueError(f"{row.head}: {len(row.cells)} cells, {len(columns) - 1} columns")
    head = element("tr", *(element("th", name, scope="col") for name in columns))
    bodies = (element("tbody", *map(_table_row, group)) for group in groups if group)
    whole = element(
        "table", element("caption", element("span", caption)), element("thead", head), *bodies
    )
    # What scrolls must be reachable by keyboard, and then needs a name.
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _table_row(row: Row) -> Markup:
    return element(
        "tr",
        element("th", row.head, scope="row"),
        *(element("td", cell) for cell in row.cells),
        class_="marked" if row.marked else None,
    )


def small(text: str) -> Markup:
    """A remark on its own line under what it belongs to."""
    return element("small", text)


def column_head(name: str, remark: str) -> Markup:
    """The head of a column with a remark under it; a name without spaces is not broken."""
    whole = element("span", name, class_="whole") if " " not in name else name
    return join([whole, small(remark)])


def details(summary: str, *children: str) -> Markup:
    """What is folded away until it is asked for."""
    return element("details", element("summary", summary), *children)


def paragraphs(*texts: str) -> Markup:
    """Each text as a paragraph."""
    return join(element("p", text) for text in texts)
