"""Pixel shards: image, label and pseudo-mask at training size, as lossless PNGs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.datasets.base import Reader, Sample
from semflow.files import whole_folder, write_json
from semflow.palette import Palette
from semflow.params.data import Shards
from semflow.shards.index import Index
from semflow.shards.manifest import Manifest, write_manifest
from semflow.shards.tar import Record, png_bytes, write_shards


def write_pixel_shards(
    index: Index, reader: Reader, palette: Palette, params: Shards, out: Path, digests: Path
) -> None:
    """Writes `<out>/<split>/*.tar` with a manifest each, and the digests of images and labels.

    Args:
        index: which samples, in which order.
        reader: reads them.
        palette: colours the labels (Eq. 7).
        params: size of an image, samples of a shard.
        out: receives a folder for each split, whole or not at all.
        digests: receives {split: {key: sha256 of image and label}}. Whatever needs no pseudo-mask
            depends on this file, so that another palette does not make it stale.
    """
    sample_digests: dict[str, dict[str, str]] = {}
    with whole_folder(out) as folder:
        for split in index.splits:
            (folder / split).mkdir()
            sample_digests[split] = {}
            records = _records(index, split, reader, palette, params.image_size)
            shards = write_shards(
                _noting(records, sample_digests[split]), folder / split, params.samples_per_shard
            )
            about = {"classes": asdict(index.classes), "split": split}
            write_manifest(Manifest(folder / split, shards, about))
    write_json(digests, sample_digests)


def _records(
    index: Index, split: str, reader: Reader, palette: Palette, size: tuple[int, int]
) -> Iterator[Record]:
    for sample in index.samples(split):
        image, label = resize(*reader.read(sample), size)
        yield (
            sample.key,
            {
                "image.png": png_bytes(image),
                "label.png": png_bytes(label),
                "pseudo_mask.png": png_bytes(palette.colorize(label)),
                "json": _facts(sample),
            },
        )


def _facts(sample: Sample) -> bytes:
    return json.dumps({"key": sample.key, **sample.place}, sort_keys=True).encode()


def _noting(records: Iterator[Record], digests: dict[str, str]) -> Iterator[Record]:
    for key, contents in records:
        digests[key] = sample_digest(contents["image.png"], contents["label.png"])
        yield key, contents


def sample_digest(image: bytes, label: bytes) -> str:
    """One sha256 over an image's and its label's PNG."""
    return hashlib.sha256(hashlib.sha256(image).digest() + label).hexdigest()


def resize(
    image: NDArray[np.uint8], label: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Brings both to one size: the image smoothly, the label by its nearest pixel.

    The label is resized before it is coloured: between two anchors lies a third class.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8 ids.
        size: height and width, pixels.
    """
    if label.shape == size:
        return np.ascontiguousarray(image), np.ascontiguousarray(label)
    width_height = (size[1], size[0])
    return (
        np.asarray(Image.fromarray(image).resize(width_height, Image.Resampling.BICUBIC)),
        np.asarray(Image.fromarray(label).resize(width_height, Image.Resampling.NEAREST)),
    )
