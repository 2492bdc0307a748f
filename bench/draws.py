"""What the random part of one training sample costs a process, by plain formulas and as it is done.

    OMP_NUM_THREADS=1 python -m bench.draws

Prints a table in Markdown: medians of 20 calls at Cityscapes' 512 x 1024, in milliseconds of one
thread's processor time, which other work on the machine hardly lengthens. The plain formulas are
what the functions are tested against, bit for bit.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.core.labels import mirror
from semflow.core.seeds import draws_at
from semflow.pseudo_masks.coloring import MEMBER, pseudo_mask_png
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import Palette, color_planes, make_palette
from semflow.pseudo_masks.schema import BaseKPalette
from semflow.shards.manifest import write_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import array_bytes, write_shard
from semflow.training.samples import MaskSource, OnlineMasks, Pixels, TrainingSamples

SIZE = (512, 1024)
CLASSES = 19
CALLS = 20
LATENTS = (4, 64, 128)

Timed = Callable[[], object]


@dataclass(frozen=True)
class PlainMasks:
    """`OnlineMasks` by plain formulas: new memory for every operation, one number a draw."""

    colors: Pixels
    noise: Noise

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`pseudo_mask` and `mask_noise`, (3, H, W) float32."""
        return {
            "pseudo_mask": torch.from_numpy(plain_planes(label, self.colors)),
            "mask_noise": torch.from_numpy(plain_noise(draws, label.shape)),
        }


def main() -> None:
    """Prints a row for each part of a sample, and one for all of it."""
    torch.set_num_threads(1)
    print("| part of a sample | plain, ms | as it is done, ms |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (plain, done) in parts(Path(folder)).items():
            print(f"| {name} | {milliseconds(plain):.1f} | {milliseconds(done):.1f} |", flush=True)


def parts(folder: Path) -> dict[str, tuple[Timed, Timed]]:
    """By name, what is timed by plain formulas and as it is done.

    Args:
        folder: Receives the shards of one sample.
    """
    label, palette = street_label(), street_palette()
    colors, noise, mirrored = palette.color_table(), Noise(6.0), tuple(range(CLASSES))
    plain_masks, done_masks = PlainMasks(colors, noise), OnlineMasks(colors, noise)
    plain, done = (one_sample(folder, label, colors, masks) for masks in (plain_masks, done_masks))
    return {
        "label as a pseudo-mask, uint8": (
            lambda: colors[label],
            lambda: palette.colorize(label),
        ),
        "label as a pseudo-mask, float32": (
            lambda: plain_planes(label, colors),
            lambda: color_planes(label, colors),
        ),
        "label mirrored": (
            lambda: plain_mirror(label, mirrored),
            lambda: mirror(label, mirrored),
        ),
        "noise of the pseudo-mask": (
            lambda: plain_noise(draws_at(0, 1), SIZE),
            lambda: noise.draw(draws_at(0, 1), SIZE),
        ),
        "both: the pseudo-mask, float32, and its noise": (
            lambda: plain_masks.draw(0, False, label, draws_at(0, 1)),
            lambda: done_masks.draw(0, False, label, draws_at(0, 1)),
        ),
        "the whole sample, read from its shards": (lambda: plain[0], lambda: done[0]),
    }


def milliseconds(call: Timed) -> float:
    """The median of CALLS calls after a first one."""
    call()
    seconds = []
    for _ in range(CALLS):
        start = time.thread_time()
        call()
        seconds.append(time.thread_time() - start)
    return 1000 * median(seconds)


def plain_planes(label: Pixels, colors: Pixels) -> NDArray[np.float32]:
    """Eq. 7 pixel by pixel, (3, H, W) float32 in [-1, 1]."""
    pseudo_mask = colors[label].astype(np.float32) / 127.5 - 1
    return pseudo_mask.transpose(2, 0, 1)


def plain_noise(draws: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Noise that is independent from pixel to pixel, (3, H, W) float32 in [-1, 1)."""
    parts = [1.0 * (draws.random((3, *size), dtype=np.float32) * 2 - 1)]
    return np.sum(parts, axis=0, dtype=np.float32)


def plain_mirror(label: Pixels, mirrored: tuple[int, ...]) -> Pixels:
    """A label flipped left to right, its classes renamed."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(mirrored)] = mirrored
    return table[label[:, ::-1]]


def street_label() -> Pixels:
    """A label of SIZE whose areas are 32 pixels wide, as a PNG packs real ones."""
    areas = np.random.default_rng(0).integers(0, CLASSES, (SIZE[0] // 32, SIZE[1] // 32))
    return areas.astype(np.uint8).repeat(32, axis=0).repeat(32, axis=1)


def street_palette() -> Palette:
    """The paper's palette for Cityscapes."""
    params = BaseKPalette(
        scheme="base_k", k=6, spacing=50, class_order=(), ignore_color=(255, 255, 255)
    )
    return make_palette(params, CLASSES)


def one_sample(folder: Path, label: Pixels, colors: Pixels, masks: MaskSource) -> TrainingSamples:
    """Shards of one sample below a folder, read as training reads them."""
    channels, height, width = LATENTS
    moments = np.zeros((2 * channels, height, width), np.float16)
    contents = {
        "labels": {MEMBER: pseudo_mask_png(label, colors)},
        "latents": {"moments.npy": array_bytes(moments), "mirrored.npy": array_bytes(moments)},
    }
    folders = {}
    for name, members in contents.items():
        (folder / name).mkdir(exist_ok=True)
        shard = write_shard([("0", members)], folder / name / "000000.tar")
        folders[name] = ShardFolder(write_manifest(folder / name, {}, [shard]))
    mirrored = tuple(range(CLASSES))
    return TrainingSamples(folders["labels"], MEMBER, folders["latents"], masks, mirrored, seed=0)


if __name__ == "__main__":
    main()
