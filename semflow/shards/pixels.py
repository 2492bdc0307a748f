"""Pixel shards: image and label at training size, as lossless PNGs.

Samples of val and test also keep their label in its native size, for evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.pool import run_all
from semflow.datasets.base import Reader, Sample, UnreadableSample
from semflow.index.listing import Index
from semflow.shards.resizing import crop_key, resize, whole, windows
from semflow.shards.schema import ShardParams
from semflow.shards.tar import Record, png_bytes
from semflow.shards.writing import begin_shards, finish_shard, publish_shards

TRAIN = "train"
"""The only split that is cropped."""


@dataclass(frozen=True)
class PixelWork:
    """What a worker needs for any shard.

    Args:
        index: which samples, in which order.
        reader: reads them.
        params: crops, size of an image, samples of a shard.
        scratch: receives the shards.
    """

    index: Index
    reader: Reader
    params: ShardParams
    scratch: Path


def write_pixel_shards(work: PixelWork, out: Path) -> None:
    """Writes `<out>/<split>/*.tar` with a manifest each.

    Args:
        work: What to make; its scratch folder is held by this process, and workers share it.
        out: Receives a folder for each split, whole or not at all.

    Raises:
        UserError: A sample has become unreadable since it was indexed.
    """
    index, scratch = work.index, work.scratch.resolve()
    away = replace(work, index=replace(index, folder=index.folder.resolve()), scratch=scratch)
    starts = {split: index.starts(split, work.params.samples_per_shard) for split in index.splits}
    counts = {split: len(found) for split, found in starts.items()}
    tasks = [
        (split, number, int(starts[split][number]))
        for split, number in begin_shards(scratch, "shards", counts)
    ]
    run_all(partial(make_shard, away), tasks, "shards", "shards")
    publish_shards(scratch, counts, {split: _about(work, split) for split in counts}, out)


def make_shard(work: PixelWork, task: tuple[str, int, int]) -> None:
    """Makes one shard in the scratch folder, whole or not at all.

    Args:
        work: What to make.
        task: Split, number of the shard, and where its first sample starts in the split's index.

    Raises:
        UserError: A sample has become unreadable since it was indexed.
    """
    split, number, start = task
    samples = islice(work.index.samples(split, start), work.params.samples_per_shard)
    records = (record for sample in samples for record in _records(work, split, sample))
    finish_shard(work.scratch, split, number, records)


def _records(work: PixelWork, split: str, sample: Sample) -> Iterator[Record]:
    try:
        image, label = work.reader.read(sample)
    except UnreadableSample as reason:
        raise UserError(
            f"{sample.key} has become unreadable since it was indexed ({reason}); "
            "restore it, or run: dvc repro -f index"
        ) from None
    if split == TRAIN:
        for number, window in enumerate(windows(sample.key, label.shape, work.params)):
            yield _record(sample, number, resize(image, label, window, work.params))
    else:
        # What is measured is measured whole, and against the label as the data set has it.
        key, contents = _record(sample, 0, resize(image, label, whole(label.shape), work.params))
        yield key, {**contents, "native_label.png": png_bytes(label)}


def _record(
    sample: Sample, number: int, pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> Record:
    image, label = pixels
    place = {"key": sample.key, **sample.place}
    return crop_key(sample.key, number), {
        "image.png": png_bytes(image),
        "label.png": png_bytes(label),
        "json": json.dumps(place, sort_keys=True).encode(),
    }


def _about(work: PixelWork, split: str) -> dict[str, object]:
    rejects = [
        {"key": reject.key, "reason": reject.reason}
        for reject in work.index.rejects
        if reject.split == split
    ]
    return {
        "classes": asdict(work.index.classes),
        "image_size": list(work.params.image_size),
        "rejects": rejects,
        "split": split,
    }
