"""Pixel shards: image, label and pseudo-mask at training size, as lossless PNGs.

Samples of the val split also keep their label in its native size, for evaluation.
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
from semflow.core.parts import read_note
from semflow.core.pool import run_all
from semflow.datasets.base import Reader, Sample, UnreadableSample
from semflow.index.listing import Index
from semflow.pseudo_masks.palette import Palette
from semflow.shards.digests import ShardDigest, SplitDigests, write_digests
from semflow.shards.resizing import crop_key, resize, whole, windows
from semflow.shards.schema import ShardParams
from semflow.shards.tar import png_bytes
from semflow.shards.writing import Record, begin_shards, finish_shard, publish_shards, shard_name

TRAIN = "train"
"""The only split that is cropped."""


@dataclass(frozen=True)
class PixelWork:
    """What a worker needs for any shard.

    Args:
        index: which samples, in which order.
        reader: reads them.
        palette: colours the labels (Eq. 7).
        params: crops, size of an image, samples of a shard.
        scratch: receives the shards.
    """

    index: Index
    reader: Reader
    palette: Palette
    params: ShardParams
    scratch: Path


def write_pixel_shards(work: PixelWork, out: Path, digests: Path) -> None:
    """Writes `<out>/<split>/*.tar` with a manifest each, and the digests of images and labels.

    Args:
        work: what to make; its scratch folder is held by this process, and workers share it.
        out: receives a folder for each split, whole or not at all.
        digests: receives the digests of every split's shards. Whatever needs no pseudo-mask
            depends on this file, so that another palette does not make it stale.

    Raises:
        UserError: a sample has become unreadable since it was indexed.
    """
    index, scratch = work.index, work.scratch.resolve()
    away = replace(work, index=replace(index, folder=index.folder.resolve()), scratch=scratch)
    starts = {split: index.starts(split, work.params.samples_per_shard) for split in index.splits}
    counts = {split: len(found) for split, found in starts.items()}
    tasks = [
        (split, number, int(starts[split][number]))
        for split, number in begin_shards(scratch, "shards", counts)
    ]
    run_all(partial(_make_shard, away), tasks, "shards", "shards")
    write_digests(digests, _noted_digests(scratch, counts))
    publish_shards(scratch, counts, {split: _about(index, split) for split in counts}, out)


def _make_shard(work: PixelWork, task: tuple[str, int, int]) -> None:
    split, number, start = task
    digest = ShardDigest()
    samples = islice(work.index.samples(split, start), work.params.samples_per_shard)
    records = (record for sample in samples for record in _records(work, split, sample, digest))
    finish_shard(work.scratch, split, number, records, digest.facts)


def _records(work: PixelWork, split: str, sample: Sample, digest: ShardDigest) -> Iterator[Record]:
    try:
        image, label = work.reader.read(sample)
    except UnreadableSample as reason:
        raise UserError(
            f"{sample.key} has become unreadable since it was indexed ({reason}); "
            "restore it, or run: dvc repro -f index"
        ) from None
    if split == TRAIN:
        for number, window in enumerate(windows(sample.key, label.shape, work.params)):
            yield _record(work, sample, number, digest, resize(image, label, window, work.params))
    else:
        # What is measured is measured whole, and against the label as the data set has it.
        pixels = resize(image, label, whole(label.shape), work.params)
        key, contents = _record(work, sample, 0, digest, pixels)
        yield key, {**contents, "native_label.png": png_bytes(label)}


def _record(
    work: PixelWork,
    sample: Sample,
    number: int,
    digest: ShardDigest,
    pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> Record:
    image, label = pixels
    key = crop_key(sample.key, number)
    contents = {
        "image.png": png_bytes(image),
        "label.png": png_bytes(label),
        "pseudo_mask.png": png_bytes(work.palette.colorize(label)),
        "json": json.dumps({"key": sample.key, **sample.place}, sort_keys=True).encode(),
    }
    digest.update(key, contents["image.png"], contents["label.png"])
    return key, contents


def _about(index: Index, split: str) -> dict[str, object]:
    rejects = [
        {"key": reject.key, "reason": reject.reason}
        for reject in index.rejects
        if reject.split == split
    ]
    return {"classes": asdict(index.classes), "rejects": rejects, "split": split}


def _noted_digests(scratch: Path, counts: dict[str, int]) -> dict[str, SplitDigests]:
    noted = {}
    for split, count in counts.items():
        # One note at a time: each also lists the places of all its samples.
        facts = (read_note(scratch, shard_name(split, number)).facts for number in range(count))
        shards = [(int(fact["samples"]), str(fact["digest"])) for fact in facts]
        samples, digests = zip(*shards, strict=True)
        noted[split] = SplitDigests(sum(samples), digests)
    return noted
