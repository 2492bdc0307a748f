"""Which reader belongs to which raw data set."""

from __future__ import annotations

from pathlib import Path

from semflow.datasets.base import Reader
from semflow.datasets.earth import EarthReader
from semflow.params.data import EarthIndex


def open_reader(raw: Path, params: EarthIndex) -> Reader:
    """Opens the raw tree of a data set.

    Raises:
        UserError: raw files are missing or unreadable: where to get them and where they go.
    """
    return EarthReader(raw, params)
