"""Makes and prints the cost of index, shards, pseudo-masks and stub latents of generated samples.

Run as `python tests/support/scale.py FOLDER SAMPLES`; prints seconds and, after each stage, the
peak memory, MB, of this process and of its largest worker so far.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semflow.core.resume import Alone, held
from semflow.datasets.base import Sample
from semflow.index.listing import read_index
from semflow.pseudo_masks.palette import make_palette
from semflow.shards.schema import ShardParams
from support.tiny_data import CLASSES, PALETTE, index_of, pixels_of, pseudo_masks_of, scratch_for

if TYPE_CHECKING:
    from torch import Tensor

IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
LABEL = np.array([[0, 1], [2, 255]], np.uint8)
SHAPE = ShardParams(image_size=(2, 2), image_filter="bicubic", crops=None, samples_per_shard=500)


class ConstantReader:
    """So many samples of two by two pixels that cost nothing to make."""

    classes = CLASSES

    def __init__(self, count: int) -> None:
        self._count = count

    def files(self) -> list[Path]:
        return []

    def samples(self) -> Iterator[Sample]:
        for number in range(self._count):
            split = "val" if number % 10 == 0 else "train"
            yield Sample(f"sample_{number:09d}", split, {"number": number})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return IMAGE, LABEL


class StubAutoencoder:
    """Encodes everything to zero."""

    device = "cpu"
    config = SimpleNamespace(scaling_factor=1.0)

    def encode(self, image: Tensor) -> SimpleNamespace:
        moments = image.new_zeros((len(image), 2, 1, 1))
        return SimpleNamespace(latent_dist=SimpleNamespace(parameters=moments))


def main() -> None:
    """Four stages, one after another."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    figures = {}
    for name, stage in (
        ("index", _index),
        ("shards", _shards),
        ("pseudo_masks", _pseudo_masks),
        ("latents", _latents),
    ):
        start = time.perf_counter()
        stage(folder, count)
        figures[f"{name} seconds"] = time.perf_counter() - start
        figures[f"{name} main peak"] = _own_peak()
        workers = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures[f"{name} worker peak"] = workers.ru_maxrss / 1024
    print(json.dumps(figures))


def _own_peak() -> float:
    # Not ru_maxrss: that of a process begins with the memory of the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _index(folder: Path, count: int) -> None:
    index_of(ConstantReader(count), folder / "index")


def _shards(folder: Path, count: int) -> None:
    index = read_index(folder / "index")
    pixels_of(index, ConstantReader(count), SHAPE, folder / "shards")


def _pseudo_masks(folder: Path, _count: int) -> None:
    palette = make_palette(PALETTE, len(CLASSES.names))
    pseudo_masks_of(folder / "shards", palette, folder / "pseudo_masks")


def _latents(folder: Path, _count: int) -> None:
    # Imported here: workers import this file too and need no network.
    from semflow.image_latents.encode_images import write_image_latents

    stub: Any = StubAutoencoder()
    out = folder / "latents"
    with held(scratch := scratch_for(out)):
        write_image_latents("earth", folder / "shards", stub, 64, scratch, out, Alone())


if __name__ == "__main__":
    main()
