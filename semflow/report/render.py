"""Content -> the page, as text and nothing else: no files, no network, no models."""

from __future__ import annotations

from semflow.report.content import Content
from semflow.report.gallery import gallery_section
from semflow.report.headline import headline
from semflow.report.markup import Markup, element, join
from semflow.report.provenance import provenance_section
from semflow.report.segmentation import classes_section, segmentation_section
from semflow.report.style import STYLE
from semflow.report.synthesis import synthesis_section

# The browser itself refuses whatever is not in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_SECTIONS = (
    ("segmentation", "Segmentation"),
    ("classes", "Classes"),
    ("synthesis", "Synthesis"),
    ("samples", "Samples"),
    ("provenance", "What made it"),
)


def render_page(content: Content) -> str:
    """One HTML page that needs nothing beside itself; the same content gives the same text.

    Raises:
        ValueError: parts of the content do not fit together, for instance other numbers of
            classes and colours.
    """
    body = element(
        "body",
        headline(content),
        _navigation(),
        element(
            "main",
            segmentation_section(content),
            classes_section(content),
            synthesis_section(content),
            gallery_section(content),
            provenance_section(content),
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', _head(content), body, lang='en')}\n"


def _head(content: Content) -> Markup:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"SemFlow on {content.dataset}"),
        # An empty icon keeps browsers from asking a server for one.
        element("link", rel="icon", href="data:,"),
        element("style", Markup(STYLE)),
    )


def _navigation() -> Markup:
    links = (element("li", element("a", name, href=f"#{id_}")) for id_, name in _SECTIONS)
    return element("nav", element("ul", join(links)), aria_label="Sections")
