"""Pseudo-mask shards: each label as one indexed PNG, whose colours are those of the palette.

A PNG's indices are the label's ids and its palette holds the anchors (Eq. 7), so that one file is
both the label and the pseudo-mask, and any viewer shows the colours.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.pool import run_all
from semflow.pseudo_masks.palette import Palette
from semflow.shards.manifest import Manifest, read_manifest, read_manifests, verify_shards
from semflow.shards.reading import stream
from semflow.shards.tar import Record, png_pixels
from semflow.shards.writing import begin_shards, finish_shard, publish_shards

MEMBER = "pseudo_mask.png"


@dataclass(frozen=True)
class ColoringWork:
    """What a worker needs for any shard.

    Args:
        dataset: Its name, for the commands in errors.
        pixels: Holds a folder of pixel shards for each split.
        palette: Colours the labels.
        scratch: Receives the shards.
    """

    dataset: str
    pixels: Path
    palette: Palette
    scratch: Path


def write_pseudo_mask_shards(work: ColoringWork, out: Path) -> None:
    """Writes `<out>/<split>/*.tar` with a manifest each: the samples of the pixel shards.

    Args:
        work: What to make; its scratch folder is held by this process, and workers share it.
        out: Receives a folder for each split, whole or not at all.

    Raises:
        UserError: A pixel shard is damaged.
    """
    sources = read_manifests(work.pixels)
    counts = {split: source.tars for split, source in sources.items()}
    tasks = begin_shards(work.scratch, "pseudo_masks", counts)
    run_all(partial(_make_shard, _at_absolute_paths(work)), tasks, "pseudo_masks", "shards")
    about = {split: _about(work.palette, source) for split, source in sources.items()}
    publish_shards(work.scratch, counts, about, out)


def pseudo_mask_png(label: NDArray[np.uint8], color_table: NDArray[np.uint8]) -> bytes:
    """A label (H, W) uint8 as a PNG with the colours of a table (256, 3) uint8."""
    image = Image.fromarray(label)
    # All 256 colours: with fewer, PNG would pack several indices into a byte.
    image.putpalette(color_table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def read_pseudo_mask(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The inverse of `pseudo_mask_png`: the label (H, W) and the colour table (256, 3), uint8."""
    image = Image.open(io.BytesIO(content))
    label = np.asarray(image)
    return label, np.array(image.getpalette(), np.uint8).reshape(256, 3)


def palette_of(manifest: Manifest) -> Palette:
    """The palette that a folder of pseudo-mask shards was made with."""
    about = manifest.about
    return Palette(
        np.asarray(about["anchors"], np.float32), np.asarray(about["ignore_color"], np.float32)
    )


def _at_absolute_paths(work: ColoringWork) -> ColoringWork:
    return ColoringWork(work.dataset, work.pixels.resolve(), work.palette, work.scratch.resolve())


def _make_shard(work: ColoringWork, task: tuple[str, int]) -> None:
    split, number = task
    source = read_manifest(work.pixels / split).only(number)
    verify_shards(source, f"dvc repro -f shards@{work.dataset}")
    finish_shard(work.scratch, split, number, _records(source, work.palette))


def _records(source: Manifest, palette: Palette) -> Iterator[Record]:
    color_table = palette.color_table()
    for key, members in stream(source):
        label = png_pixels(members["label.png"])
        palette.check_label(label)
        yield key, {MEMBER: pseudo_mask_png(label, color_table)}


def _about(palette: Palette, source: Manifest) -> dict[str, object]:
    return {
        "anchors": palette.anchors.tolist(),
        "classes": source.about["classes"],
        "ignore_color": palette.ignore_color.tolist(),
        "split": source.about["split"],
    }
