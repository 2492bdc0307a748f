"""The checked list of a data set's samples: what `index` writes and everything later stands on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.datasets.base import ClassTable, Reader, Sample, UnreadableSample
from semflow.errors import UserError
from semflow.files import read_json, sha256_of, whole_folder, write_json
from semflow.palette import IGNORE_INDEX

HEADER = "index.json"
SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Index:
    """An index on disk.

    Args:
        folder: holds `index.json` and `samples.jsonl`.
        classes: the class table.
        splits: names of the splits in order of first appearance.
        counts: samples of each split.
    """

    folder: Path
    classes: ClassTable
    splits: tuple[str, ...]
    counts: dict[str, int]

    def samples(self, split: str) -> Iterator[Sample]:
        """Streams the samples of one split in the reader's order."""
        with (self.folder / SAMPLES).open(encoding="utf-8") as lines:
            for line in lines:
                sample = Sample(**json.loads(line))
                if sample.split == split:
                    yield sample


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
    )


def write_index(reader: Reader, out: Path, max_rejects: int) -> Index:
    """Reads every raw sample once, keeps the sound ones and names the others.

    Args:
        reader: the data set.
        out: folder that receives the index, whole or not at all.
        max_rejects: how many unreadable samples are bearable.

    Raises:
        UserError: more rejects than that, or no sample at all.
    """
    counts: dict[str, int] = {}
    rejects: list[dict[str, str]] = []
    with whole_folder(out) as folder:
        with (folder / SAMPLES).open("w", encoding="utf-8") as lines:
            for sample in reader.samples():
                try:
                    check_sample(*reader.read(sample), num_classes=len(reader.classes.names))
                except UnreadableSample as reason:
                    rejects.append({"key": sample.key, "reason": str(reason)})
                    continue
                counts[sample.split] = counts.get(sample.split, 0) + 1
                lines.write(json.dumps(asdict(sample), sort_keys=True) + "\n")
        if len(rejects) > max_rejects:
            first = rejects[0]
            raise UserError(
                f"{len(rejects)} samples are unreadable, index.max_rejects allows {max_rejects}; "
                f"the first: {first['key']}: {first['reason']}"
            )
        if not counts:
            raise UserError("the index is empty: no sample passed its conditions; relax them")
        write_json(
            folder / HEADER,
            {
                "classes": asdict(reader.classes),
                "counts": counts,
                "splits": list(counts),
                "raw_files": {path.name: sha256_of(path) for path in reader.files()},
                "rejects": rejects,
            },
        )
    return read_index(out)


def check_sample(image: NDArray[np.uint8], label: NDArray[np.uint8], num_classes: int) -> None:
    """Image and label must be of one size, and every id a class or IGNORE_INDEX.

    Raises:
        UnreadableSample: naming the misfit.
    """
    if image.shape[:2] != label.shape:
        raise UnreadableSample(f"image is {image.shape[:2]} but its label {label.shape}")
    outside = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if outside.size:
        raise UnreadableSample(f"label id {outside[0]} is outside 0..{num_classes - 1}")


def class_table(value: dict[str, list[object]]) -> ClassTable:
    """A class table from its JSON form."""
    return ClassTable(
        names=tuple(str(name) for name in value["names"]),
        colors=tuple(tuple(color) for color in value["colors"]),  # type: ignore[arg-type,misc]
        mirrored=tuple(int(str(other)) for other in value["mirrored"]),
    )
