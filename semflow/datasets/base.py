"""What every data set's reader offers to the stages above it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semflow.core.labels import ClassTable


@dataclass(frozen=True)
class Sample:
    """One raw image with its label, before any resizing.

    Args:
        key: the raw data set's own name for it.
        split: "train", "val" or, where there is one, "test".
        place: where the reader finds it; JSON values only. `group`, if it is there, names what
            samples that are alike have in common, such as a region: intervals resample groups.
    """

    key: str
    split: str
    place: Mapping[str, int | str]


class Reader(Protocol):
    """File layout and class mapping of one raw data set."""

    classes: ClassTable

    def files(self) -> list[Path]:
        """The raw files that exist once for the whole data set."""
        ...

    def samples(self) -> Iterator[Sample]:
        """All samples in a fixed order, found as they are asked for.

        Raises:
            UserError: the raw tree as a whole does not fit, which no single sample is to blame for.
        """
        ...

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image (H, W, 3) uint8 and label (h, w) uint8 ids, 255 = ignore.

        Both show the same field of view, but the label may have fewer or more pixels. Its size is
        the native one, at which predictions are scored.

        Raises:
            UnreadableSample: the sample's files are absent, corrupt or do not fit together.
        """
        ...


def held_out(position: int, every: int) -> str:
    """Split of a sample of a data set whose val split is held out of its train list.

    Args:
        position: its place in the sorted list, from 0.
        every: positions 0, n, 2n, ... are val.

    Returns:
        "train" or "val".
    """
    return "val" if position % every == 0 else "train"


class UnreadableSample(Exception):
    """Why one sample cannot be used; it goes to the rejects with this text."""
