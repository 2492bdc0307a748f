"""Which val samples are measured, against which, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from semflow.core.seeds import spread
from semflow.evaluation.ranks import Team
from semflow.evaluation.schema import EvaluateParams
from semflow.shards.tar import ShardFolder, png_pixels


@dataclass(frozen=True)
class Batch:
    """N samples of the val split.

    Args:
        items: their numbers among the samples that are measured.
        image: (N, H, W, 3) uint8, at the size of training.
        label: (N, H, W) uint8 ids, at the size of training.
        native_labels: N labels (H', W') uint8, each as the raw data set has it.
    """

    items: range
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
        team: the processes that share the batches.
    """

    folder: ShardFolder
    positions: tuple[int, ...]
    batch_size: int
    team: Team

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.positions)

    def key(self, item: int) -> str:
        """The key of the sample with that number among these."""
        return self.folder.key(self.positions[item])

    def batches(self, purpose: str) -> Iterator[Batch]:
        """Reads this process's share in order, behind a progress bar that says what for."""
        starts = range(0, len(self), self.batch_size)
        for start in tqdm(
            [starts[number] for number in self.team.share(len(starts))],
            desc=f"evaluate: {purpose}",
            unit=" batches",
            mininterval=2,
            disable=not self.team.is_first,
        ):
            image, label, native = (
                [torch.tensor(png_pixels(self.folder.read(position, name))) for position in part]
                for part in [self.positions[start : start + self.batch_size]]
                for name in ("image.png", "label.png", "native_label.png")
            )
            items = range(start, start + len(image))
            yield Batch(items, torch.stack(image), torch.stack(label), tuple(native))

    def thinned(self, wanted: int) -> ValSamples:
        """As many of them as wanted, spread evenly; all where there are not more."""
        chosen = spread(len(self), wanted)
        positions = tuple(self.positions[number] for number in chosen)
        return ValSamples(self.folder, positions, self.batch_size, self.team)


@dataclass(frozen=True)
class Chosen:
    """Which val samples are measured, and against which.

    Args:
        tested: segmented, and their labels synthesized.
        reference: whose images the syntheses are compared with.
        floor: two sets of real images with nothing in common, equal in number.
    """

    tested: ValSamples
    reference: ValSamples
    floor: tuple[ValSamples, ValSamples]


def choose_samples(folder: ShardFolder, params: EvaluateParams, team: Team) -> Chosen:
    """Chooses them evenly over the split.

    With "own" references every sample is both tested and a reference, and the floor lies between
    its halves. With "other" ones the split's samples take turns, and those two sets are the floor.

    Args:
        folder: pixel shards of the split.
        params: how many, and the kind of reference.
        team: the processes that share the work.
    """
    sets = 1 if params.reference == "own" else 2
    wanted = min(len(folder), sets * params.samples) // 2 * 2
    positions = tuple(spread(len(folder), wanted))
    every = ValSamples(folder, positions, params.batch_size, team)
    odd, even = (
        ValSamples(folder, positions[first::2], params.batch_size, team) for first in (1, 0)
    )
    tested, reference = (every, every) if params.reference == "own" else (even, odd)
    return Chosen(tested, reference, (even, odd))
