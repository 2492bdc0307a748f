"""Results as HTML: figures with alternative texts, legends, downloads; no byte is elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from semflow.app.brushes import hex_color
from semflow.core.pictures import NO_CLASS_COLOR

NO_CLASS = "no class"


def figure(
    content: bytes,
    alt: str,
    caption: str,
    download: str | None = None,
    download_text: str = "Download",
    download_content: bytes | None = None,
) -> str:
    """One picture with its caption.

    Args:
        content: A PNG.
        alt: What it shows, for who cannot see it.
        caption: Plain text below it.
        download: File name that it is saved under; None for no link.
        download_text: Text of that link.
        download_content: The PNG that is saved, where it is not the one shown.
    """
    saved = ""
    if download is not None:
        source = _data_url(content if download_content is None else download_content)
        saved = f'<a download="{escape(download)}" href="{source}">{escape(download_text)}</a>'
    return (
        f'<figure><img src="{_data_url(content)}" alt="{escape(alt)}">'
        f"<figcaption><span>{escape(caption)}</span>{saved}</figcaption></figure>"
    )


def figures(parts: Iterable[str], kind: str, label: str) -> str:
    """Figures side by side, as many in a row as the screen has room for.

    Args:
        parts: Of `figure`.
        kind: Name of their style.
        label: What they are together, for who cannot see them.
    """
    start = f'<div class="figures {escape(kind)}" role="group" aria-label="{escape(label)}">'
    return f"{start}{''.join(parts)}</div>"


def legend(names: Sequence[str], colors: Sequence[Sequence[int]], shares: Sequence[float]) -> str:
    """The classes of a label with their display colours.

    Args:
        names: K names.
        colors: (K, 3) grey levels.
        shares: Share of the pixels that each class has, in 0..1; classes without any are left out.
    """
    items = "".join(
        f"<li>{_swatch(color)}{escape(name)} <small>{escape(percent(share))}</small></li>"
        for name, color, share in zip(names, colors, shares, strict=True)
        if share > 0
    )
    return f'<ul class="legend" aria-label="Classes and their colours">{items}</ul>'


def brushes(names: Sequence[str], colors: Sequence[Sequence[int]], pressed: int) -> str:
    """A button for each class and at last one for pixels without a class.

    Args:
        names: K names.
        colors: (K, 3) grey levels.
        pressed: Number of the brush that is taken at first.
    """
    pairs = zip((*names, NO_CLASS), (*colors, NO_CLASS_COLOR), strict=True)
    buttons = "".join(
        _button(number, number == pressed, _swatch(color) + escape(name))
        for number, (name, color) in enumerate(pairs)
    )
    return f'<div class="brushes" role="group" aria-label="Brushes">{buttons}</div>'


def thumbnails(names: Sequence[str], contents: Sequence[bytes], pressed: int) -> str:
    """A button with a small picture for each example.

    Args:
        names: Of the examples.
        contents: Their PNG or JPEG files, whole.
        pressed: Number of the one that is chosen at first.
    """
    buttons = "".join(
        _button(number, number == pressed, f'<img alt="{escape(name)}" src="{_data_url(content)}">')
        for number, (name, content) in enumerate(zip(names, contents, strict=True))
    )
    return f'<div class="examples" role="group" aria-label="Example images">{buttons}</div>'


def note(text: str) -> str:
    """A line of plain text; a screen reader says it when it changes."""
    return f'<p class="note" role="status">{escape(text)}</p>'


def percent(share: float) -> str:
    """A share in 0..1 as whole percents, as less than one where it is."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _button(number: int, pressed: bool, inside: str) -> str:
    state = "true" if pressed else "false"
    return f'<button type="button" data-index="{number}" aria-pressed="{state}">{inside}</button>'


def _swatch(color: Sequence[int]) -> str:
    return f'<i style="background:{hex_color(color)}" aria-hidden="true"></i>'


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
