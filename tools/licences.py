"""Writes the table of packages in docs/licences.md from what is installed.

    python -m tools.licences

A package's licence is what its own metadata says: an SPDX expression where it has one, else the
short text of its licence field, else its classifiers. Needs all extras installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from semflow.core.files import write_text
from tools.closure import ROOT
from tools.lock import pinned

DOCS = ROOT / "docs" / "licences.md"
START, END = "<!-- packages: written by tools/licences.py -->", "<!-- end of packages -->"
LONGEST = 60
"""Of a licence field: some packages put the whole text there."""


def main() -> None:
    """Rewrites the table between its markers."""
    text = DOCS.read_text("utf-8")
    before, rest = text.split(START)
    table = "\n".join(["| package | version | licence |", "|---|---|---|", *rows()])
    write_text(DOCS, f"{before}{START}\n\n{table}\n\n{END}{rest.split(END)[1]}")


def rows() -> Iterator[str]:
    """A line of the table for each pinned package."""
    for name, version in pinned().items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            extras = "test,peers,test-app"
            sys.exit(f"error: {name} is not installed; run: pip install -e '.[{extras}]'")
        yield f"| {name} | {version} | {licence_of(found)} |"


def licence_of(package: Distribution) -> str:
    """What a package's metadata says of its licence, on one line; "not stated" where nothing."""
    metadata = package.metadata
    if expression := _first(metadata.get_all("License-Expression")):
        return expression
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    stated = re.sub(r"\s+", " ", _first(metadata.get_all("License"))).strip()
    if stated and len(stated) <= LONGEST and stated != "UNKNOWN":
        return stated.replace("|", "\\|")
    return ", ".join(classifiers) or "not stated"


def _first(values: list[str] | None) -> str:
    return values[0] if values else ""


if __name__ == "__main__":
    main()
