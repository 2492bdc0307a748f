"""A page as a browser would read it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"img", "meta", "link", "br"}


@dataclass
class Table:
    """A table's text: caption, heads of columns, and rows of head and cells."""

    caption: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def row(self, start: str) -> list[str]:
        """The cells of the only row whose head starts so."""
        (found,) = [row for row in self.rows if row[0].startswith(start)]
        return found[1:]


class Reader(HTMLParser):
    """Reads a page, insisting on balanced tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[Table] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = re.sub("[ \n]+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append(Table())
        if tag == "tr" and "tbody" in self.open:
            self.tables[-1].rows.append([])
        if tag in ("th", "td"):
            heads = "thead" in self.open
            (self.tables[-1].columns if heads else self.tables[-1].rows[-1]).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "table" not in self.open:
            return
        table = self.tables[-1]
        if "caption" in self.open:
            table.caption += data
        elif "th" in self.open or "td" in self.open:
            cells = table.columns if "thead" in self.open else table.rows[-1]
            cells[-1] += data

    def table(self, start: str) -> Table:
        """The only table whose caption starts so."""
        (found,) = [table for table in self.tables if table.caption.startswith(start)]
        return found

    def numbers(self) -> set[float]:
        """Every number that stands alone in a table's cell or at the head of a row."""
        cells = [cell for table in self.tables for row in table.rows for cell in row]
        return {as_number(cell) for cell in cells if re.fullmatch(r"[−\d.,]+", cell)}  # noqa: RUF001


def as_number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
