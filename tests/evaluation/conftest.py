"""Held-out splits with enough samples to be evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_data import SHAPE, RandomReader, index_of, pixels_of


@pytest.fixture(scope="session")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of ten test samples: an odd number of batches of two, which two processes share."""
    root = tmp_path_factory.mktemp("split")
    (root / "raw.txt").touch()
    reader = RandomReader(root / "raw.txt", {"train": 1, "val": 7, "test": 10})
    pixels_of(index_of(reader, root / "index"), reader, SHAPE, root / "shards")
    return root / "shards"


@pytest.fixture(scope="session")
def split(pixels: Path) -> Path:
    """The test split."""
    return pixels / "test"
