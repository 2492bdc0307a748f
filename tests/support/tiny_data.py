"""A small data set for the tests, and what its first stages make; workers import it in no time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.labels import ClassTable
from semflow.core.resume import held
from semflow.datasets.base import Reader, Sample, UnreadableSample
from semflow.datasets.files import map_ids, read_pair
from semflow.index.checking import write_index
from semflow.index.listing import Index
from semflow.networks.schema import ScratchBackbone
from semflow.pseudo_masks.coloring import ColoringWork, write_pseudo_mask_shards
from semflow.pseudo_masks.palette import Palette
from semflow.pseudo_masks.schema import BaseKPalette, NoiseParams, SpreadPalette
from semflow.shards.pixels import PixelWork, write_pixel_shards
from semflow.shards.schema import ShardParams

SIZE = 16
TRAIN_SAMPLES = 10
VAL_SAMPLES = 3

CLASSES = ClassTable(
    names=("water", "left ear", "right ear", "land"),
    colors=((0, 0, 255), (255, 0, 0), (255, 128, 0), (0, 255, 0)),
    mirrored=(0, 2, 1, 3),
    background=None,
)


SHAPE = ShardParams(
    image_size=(SIZE, SIZE), image_filter="bicubic", crops=None, samples_per_shard=4
)
GREY = (64, 64, 64)
BACKBONE = ScratchBackbone(
    source="scratch",
    block_out_channels=(8, 16),
    layers_per_block=1,
    attention_head_dim=8,
    norm_num_groups=4,
    seed=0,
)


def spread_palette(class_order: Sequence[int] | None = None) -> SpreadPalette:
    """Parameters of the palette of far colours, in their own order where none is given."""
    return SpreadPalette(
        scheme="spread",
        class_order=() if class_order is None else tuple(class_order),
        ignore_color=GREY,
    )


def base_k_palette(k: int, spacing: float) -> BaseKPalette:
    """Parameters of Eq. 7."""
    return BaseKPalette(
        scheme="base_k",
        class_order=(),
        k=k,
        spacing=spacing,
        ignore_color=GREY,
    )


PALETTE = spread_palette()
NOISE = NoiseParams(amplitude=40.0, cells=(1, 8), shares=(0.5, 0.5), latents=0.0)


class RandomReader:
    """A data set of random images: a reader like any other, whose raw tree is a key and a seed.

    Labels are bands whose classes follow from the key; each class has its own hue, so that there
    is something to learn. Images are taller than wide and larger than SIZE.

    Args:
        raw: one file that the index notes the checksum of.
        counts: samples of each split.
        unreadable: keys that cannot be read.
        shape: height and width of raw images.
        delay: seconds that reading a sample takes.
    """

    classes = CLASSES

    def __init__(
        self,
        raw: Path,
        counts: Mapping[str, int],
        unreadable: tuple[str, ...] = (),
        shape: tuple[int, int] = (24, 20),
        delay: float = 0.0,
    ) -> None:
        self._raw = raw
        self._counts = counts
        self._unreadable = unreadable
        self._shape = shape
        self._delay = delay

    def files(self) -> list[Path]:
        return [self._raw]

    def samples(self) -> Iterator[Sample]:
        for split, count in self._counts.items():
            for number in range(count):
                yield Sample(f"{split}_{number}", split, {"number": number})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if sample.key in self._unreadable:
            raise UnreadableSample("cut short")
        time.sleep(self._delay)
        draws = np.random.default_rng([len(sample.split), int(sample.place["number"])])
        bands = draws.choice([0, 1, 2, 3, 255], size=4, p=[0.25, 0.25, 0.2, 0.2, 0.1])
        rows = np.linspace(0, 3.99, self._shape[0]).astype(int)
        label = np.repeat(bands[rows][:, None], self._shape[1], axis=1).astype(np.uint8)
        label[:, : self._shape[1] // 2] = draws.integers(4)
        hues = np.resize(np.asarray(CLASSES.colors), (256, 3))
        image = hues[label] + draws.normal(0, 20, (*self._shape, 3))
        return image.clip(0, 255).astype(np.uint8), label


class DyingReader(RandomReader):
    """Its worker is killed the first time that a certain sample is read.

    Args:
        raw: one file; the mark that it has happened lies beside it.
        counts: samples of each split.
        fatal: the sample's key.
    """

    def __init__(self, raw: Path, counts: Mapping[str, int], fatal: str) -> None:
        super().__init__(raw, counts)
        self._fatal = fatal

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        mark = self._raw.with_suffix(".died")
        if sample.key == self._fatal and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(sample)


class FolderReader:
    """A data set of real files: `<raw>/<split>/<key>.png` and `<key>_label.png`."""

    classes = CLASSES

    def __init__(self, raw: Path) -> None:
        self._raw = raw

    def files(self) -> list[Path]:
        return []

    def samples(self) -> Iterator[Sample]:
        for split in ("train", "val"):
            for path in sorted((self._raw / split).glob("*.png")):
                if not path.stem.endswith("_label"):
                    yield Sample(path.stem, split, {"file": f"{split}/{path.name}"})

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        path = self._raw / str(sample.place["file"])
        image, label = read_pair(path, path.with_name(f"{path.stem}_label.png"))
        return image, map_ids(label, {0: 0, 10: 1, 20: 2, 30: 3, 255: 255})


def index_of(reader: Reader, out: Path, max_rejects: int = 0) -> Index:
    """The index of a reader, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        return write_index(reader, scratch, out, max_rejects)


def scratch_for(out: Path) -> Path:
    """Beside an output, in a folder of its own: work that begins deletes what lies beside it."""
    return out.with_name(f"{out.name}.scratch") / "0"


def flip_a_byte(path: Path) -> None:
    """Alters one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    """Takes the last block from a file."""
    path.write_bytes(path.read_bytes()[:-512])


def pixels_of(index: Index, reader: Reader, params: ShardParams, out: Path) -> None:
    """Writes pixel shards, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        write_pixel_shards(PixelWork(index, reader, params, scratch), out)


def pseudo_masks_of(pixels: Path, palette: Palette, out: Path) -> None:
    """Writes pseudo-mask shards, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        write_pseudo_mask_shards(ColoringWork("earth", pixels, palette, scratch), out)
