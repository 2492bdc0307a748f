"""What a checkpoint's weight files hold, from their headers and bytes alone."""

from __future__ import annotations

import json
import math
from pathlib import Path

from semflow.core.files import sha256_of
from semflow.report.content import WeightFile


def weight_files(folder: Path) -> tuple[WeightFile, ...]:
    """Every safetensors file under a folder, in the order of its path."""
    paths = sorted(folder.rglob("*.safetensors"), key=lambda path: path.relative_to(folder).parts)
    return tuple(
        WeightFile(path.relative_to(folder).as_posix(), _values_in(path), sha256_of(path))
        for path in paths
    )


def _values_in(path: Path) -> int:
    # A safetensors file begins with the length of a JSON header, eight bytes, and that header.
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in header.values())
