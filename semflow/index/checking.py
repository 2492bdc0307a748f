"""Writing an index: every raw sample is read once, the sound ones are kept, the others named.

Samples are listed once in the reader's order and checked chunk by chunk, on many workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.files import publish_folder, sha256_of, whole_folder, write_json
from semflow.core.labels import IGNORE_INDEX
from semflow.core.pool import run_all
from semflow.core.resume import begin_parts, finish_part, finished_folder, read_note
from semflow.datasets.base import Reader, Sample, UnreadableSample
from semflow.index.listing import (
    HEADER,
    Index,
    Reject,
    read_index,
    sample_from,
    sample_line,
    samples_file,
)

SAMPLES_PER_CHUNK = 64
LONGEST_KEY = 72
"""Bytes. A tar's plain header has 100 for a name, of which the crop's number and the extension
take up to 28: `-crop9999999.pseudo_mask.png`."""
NEEDED_SPLITS = ("train", "val")
"""Without one of them no later stage has anything to do."""
_CROP_NAME = re.compile("-crop[0-9]+$")


def write_index(reader: Reader, scratch: Path, out: Path, max_rejects: int) -> Index:
    """Reads every raw sample once, keeps the sound ones and names the others.

    Args:
        reader: The data set.
        scratch: The stage's folder, held by this process; workers share it.
        out: Folder that receives the index, whole or not at all.
        max_rejects: How many unreadable samples are bearable.

    Raises:
        UserError: More rejects than that, or a split that training or evaluation needs is empty.
    """
    scratch = scratch.resolve()
    chunks = _list_samples(reader, scratch)
    missing = begin_parts(scratch, "index", "chunks", chunks)
    run_all(partial(_check_chunk, reader, scratch), missing, "index", "chunks")
    rejects = _bearable_rejects(scratch, chunks, max_rejects)
    with whole_folder(scratch / "index") as folder:
        counts = _gather(scratch, chunks, folder)
        _demand_splits(counts, rejects)
        header = {
            "classes": asdict(reader.classes),
            "counts": counts,
            "splits": list(counts),
            "raw_files": {path.name: sha256_of(path) for path in reader.files()},
            "rejects": [asdict(reject) for reject in rejects],
        }
        write_json(folder / HEADER, header)
    publish_folder(scratch / "index", out)
    return read_index(out)


def check_key(key: str) -> None:
    """A key must be a name that a shard can hold.

    Raises:
        UnreadableSample: It has a dot, where WebDataset ends a key, ends like the name of a crop,
            or is too long for a tar.
    """
    if "." in key or not key.isprintable():
        raise UnreadableSample("a name has no dot and no control character; rename the file")
    if found := _CROP_NAME.search(key):
        raise UnreadableSample(f"a name that ends in {found[0]} is a crop's; rename the file")
    if len(key.encode()) > LONGEST_KEY:
        raise UnreadableSample(f"a name has up to {LONGEST_KEY} bytes; rename the file")


def check_label(label: NDArray[np.uint8], num_classes: int) -> None:
    """Every id must be a class or IGNORE_INDEX.

    Raises:
        UnreadableSample: Naming an id that is neither.
    """
    outside = label[(label >= num_classes) & (label != IGNORE_INDEX)]
    if outside.size:
        raise UnreadableSample(f"label id {outside[0]} is outside 0..{num_classes - 1}")


def _list_samples(reader: Reader, scratch: Path) -> list[str]:
    """Writes the samples chunk by chunk, unless an earlier run has; returns the chunks' names."""
    listed = _listed(scratch)
    if not listed.is_dir():
        with whole_folder(listed) as folder:
            lines = map(sample_line, reader.samples())
            for number in count():
                if not (chunk := list(islice(lines, SAMPLES_PER_CHUNK))):
                    break
                (folder / f"{number:06d}.jsonl").write_text("".join(chunk), encoding="utf-8")
    return sorted(path.name for path in listed.iterdir())


def _check_chunk(reader: Reader, scratch: Path, name: str) -> None:
    def write(path: Path) -> Mapping[str, Any]:
        """The samples that are sound, and the others' reasons as facts."""
        rejects = []
        with (_listed(scratch) / name).open("rb") as lines, path.open("wb") as kept:
            for line in lines:
                sample = sample_from(line)
                if reason := _flaw(reader, sample):
                    rejects.append(asdict(Reject(sample.key, sample.split, reason)))
                else:
                    kept.write(line)
        return {"rejects": rejects}

    finish_part(scratch, name, write)


def _flaw(reader: Reader, sample: Sample) -> str:
    try:
        check_key(sample.key)
        _, label = reader.read(sample)
        check_label(label, len(reader.classes.names))
    except UnreadableSample as reason:
        return " ".join(str(reason).split()) or "unreadable"
    return ""


def _bearable_rejects(scratch: Path, chunks: Sequence[str], max_rejects: int) -> list[Reject]:
    total = 0
    kept: list[Reject] = []
    for name in chunks:
        for reject in read_note(scratch, name).facts["rejects"]:
            total += 1
            if len(kept) <= max_rejects:
                kept.append(Reject(**reject))
    if total > max_rejects:
        raise UserError(
            f"{total} samples are unreadable, index.max_rejects allows {max_rejects}; "
            f"the first: {kept[0].key}: {kept[0].reason}"
        )
    return kept


def _demand_splits(counts: Mapping[str, int], rejects: Sequence[Reject]) -> None:
    for split in NEEDED_SPLITS:
        if split in counts:
            continue
        lost = [reject for reject in rejects if reject.split == split]
        if not lost:
            raise UserError(
                f"no sample is in split {split}; relax what index says of it, or add raw files"
            )
        raise UserError(
            f"all samples of split {split} are unreadable, {len(lost)} in number; "
            f"restore them, the first: {lost[0].key}: {lost[0].reason}"
        )


def _gather(scratch: Path, chunks: Sequence[str], folder: Path) -> dict[str, int]:
    """Joins the checked chunks to one file for each split; returns the splits' sample counts."""
    counts: dict[str, int] = {}
    files: dict[str, IO[bytes]] = {}
    with ExitStack() as stack:
        for line in _lines(finished_folder(scratch), chunks):
            split = sample_from(line).split
            if split not in files:
                files[split] = stack.enter_context((folder / samples_file(split)).open("wb"))
            files[split].write(line)
            counts[split] = counts.get(split, 0) + 1
    return counts


def _lines(folder: Path, names: Sequence[str]) -> Iterator[bytes]:
    for name in names:
        with (folder / name).open("rb") as lines:
            yield from lines


def _listed(scratch: Path) -> Path:
    return scratch / "listed"
