"""The checked list of a data set's samples: what everything after `index` stands on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.files import read_json
from semflow.core.labels import ClassTable, class_table
from semflow.datasets.base import Sample

HEADER = "index.json"


@dataclass(frozen=True)
class Reject:
    """A raw sample that cannot be used, and why."""

    key: str
    split: str
    reason: str


@dataclass(frozen=True)
class Index:
    """An index on disk.

    Args:
        folder: holds `index.json` and a file of samples for each split.
        classes: the class table.
        splits: names of the splits in order of first appearance.
        counts: samples of each split.
        rejects: the raw samples that were left out.
    """

    folder: Path
    classes: ClassTable
    splits: tuple[str, ...]
    counts: dict[str, int]
    rejects: tuple[Reject, ...]

    def samples(self, split: str, start: int = 0) -> Iterator[Sample]:
        """Streams the samples of one split in the reader's order.

        Args:
            split: a name; of one that the index does not know there are no samples.
            start: from which byte of the split's file on, one of `starts`.
        """
        if split in self.splits:
            with (self.folder / samples_file(split)).open("rb") as lines:
                lines.seek(start)
                yield from map(sample_from, lines)

    def starts(self, split: str, step: int) -> NDArray[np.int64]:
        """Where every step-th sample of a split starts in its file, bytes: (N / step,) int64."""
        with (self.folder / samples_file(split)).open("rb") as lines:
            ends = np.cumsum([0] + [_length(lines, step) for _ in range(self._groups(split, step))])
        return ends[:-1]

    def _groups(self, split: str, step: int) -> int:
        return -(-self.counts[split] // step)


def read_index(folder: Path) -> Index:
    """Opens what `write_index` wrote.

    Raises:
        UserError: there is no index in the folder.
    """
    header = read_json(folder / HEADER)
    return Index(
        folder,
        class_table(header["classes"]),
        tuple(header["splits"]),
        dict(header["counts"]),
        tuple(Reject(**reject) for reject in header["rejects"]),
    )


def samples_file(split: str) -> str:
    """Name of the file with a split's samples, one a line."""
    return f"{split}.jsonl"


def sample_line(sample: Sample) -> str:
    """A sample as one line."""
    return json.dumps(asdict(sample), sort_keys=True) + "\n"


def sample_from(line: bytes | str) -> Sample:
    """The inverse of `sample_line`."""
    return Sample(**json.loads(line))


def _length(lines: Iterator[bytes], count: int) -> int:
    return sum(len(line) for line in islice(lines, count))
