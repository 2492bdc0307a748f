"""What the figures in README.md and docs/ are made from: `python -m bench.NAME`, from the root."""

from __future__ import annotations


def figure(value: float | None, digits: int) -> str:
    """A number of a table with so many decimals; a dash where there was nothing to measure."""
    return "-" if value is None else f"{value:.{digits}f}"
