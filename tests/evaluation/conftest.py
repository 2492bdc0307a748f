"""A val split with enough samples to be evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_data import SHAPE, RandomReader, index_of, pixels_of


@pytest.fixture(scope="session")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pixel shards of ten samples: an odd number of batches of two, which two processes share."""
    root = tmp_path_factory.mktemp("split")
    (root / "raw.txt").touch()
    reader = RandomReader(root / "raw.txt", {"train": 1, "val": 10})
    pixels_of(index_of(reader, root / "index"), reader, SHAPE, root / "shards")
    return root / "shards" / "val"
