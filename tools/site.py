"""Hooks of mkdocs: the README as the first page, and links that leave docs/ as plain names.

A page says `[rows.yaml](../study/rows.yaml)`, which leads somewhere in a checkout and on a forge;
the site has no such file, so there the name stands alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
FIRST = "index.md"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the README as the first page."""
    text = (ROOT / "README.md").read_text("utf-8")
    files.append(File.generated(config, FIRST, content=from_docs(text)))
    return files


def on_page_markdown(markdown: str, page: Page, **_others: object) -> str:
    """Takes the links out of a page that lead to files beside docs/."""
    return without_links_outside(markdown, ROOT / "docs" / Path(page.file.src_uri).parent)


def from_docs(readme: str) -> str:
    """The README with its links as docs/ sees them."""

    def moved(link: re.Match[str]) -> str:
        target = link[2]
        if "://" in target or target.startswith("#"):
            return link[0]
        inside = target.removeprefix("docs/")
        return f"[{link[1]}]({inside if inside != target else f'../{target}'})"

    return re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", moved, readme)


def without_links_outside(markdown: str, folder: Path) -> str:
    """A page in a folder, its links to files outside of docs/ replaced by their texts."""
    return LINK.sub(lambda link: _in_site(link, folder), markdown)


def _in_site(link: re.Match[str], folder: Path) -> str:
    text, target = link.groups()
    if "://" in target or target.startswith("#"):
        return link[0]
    path = (folder / target.partition("#")[0]).resolve()
    # A link that leads nowhere stays, for mkdocs to complain of.
    leaves = path.exists() and not path.is_relative_to(ROOT / "docs")
    return text if leaves else link[0]
