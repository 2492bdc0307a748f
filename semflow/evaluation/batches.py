"""Which val samples are measured, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from semflow.shards.tar import ShardFolder, png_pixels


@dataclass(frozen=True)
class Batch:
    """N samples of the val split.

    Args:
        image: (N, H, W, 3) uint8, at the size of training.
        label: (N, H, W) uint8 ids, at the size of training.
        native_labels: N labels (H', W') uint8, each as the raw data set has it.
    """

    image: Tensor
    label: Tensor
    native_labels: tuple[Tensor, ...]


@dataclass(frozen=True)
class ValSamples:
    """Some samples of the val split.

    Args:
        folder: its pixel shards.
        positions: in them.
        batch_size: samples of a batch; the last may have fewer.
    """

    folder: ShardFolder
    positions: tuple[int, ...]
    batch_size: int

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.positions)

    def batches(self, purpose: str) -> Iterator[Batch]:
        """Reads them in order, behind a progress bar that says what for."""
        starts = range(0, len(self), self.batch_size)
        for start in tqdm(starts, desc=f"evaluate: {purpose}", unit=" batches", mininterval=2):
            image, label, native = (
                [torch.tensor(png_pixels(self.folder.read(position, name))) for position in part]
                for part in [self.positions[start : start + self.batch_size]]
                for name in ("image.png", "label.png", "native_label.png")
            )
            yield Batch(torch.stack(image), torch.stack(label), tuple(native))

    def thinned(self, wanted: int) -> ValSamples:
        """As many of them as wanted, spread evenly; all where there are not more."""
        chosen = spread(len(self), min(wanted, len(self)))
        positions = tuple(self.positions[number] for number in chosen)
        return ValSamples(self.folder, positions, self.batch_size)


def tested_and_reference(folder: ShardFolder, wanted: int, batch_size: int) -> list[ValSamples]:
    """Two sets of at most `wanted` samples each, equal in number, which take turns in the split."""
    positions = tuple(spread(len(folder), min(len(folder), 2 * wanted) // 2 * 2))
    return [ValSamples(folder, positions[start::2], batch_size) for start in (0, 1)]


def spread(count: int, wanted: int) -> list[int]:
    """So many positions out of 0 .. count - 1, spread evenly, both ends included."""
    return [int(position) for position in np.linspace(0, count - 1, wanted)]
