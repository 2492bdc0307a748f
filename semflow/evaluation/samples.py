"""Which samples are measured, against which, and the one pass that reads them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from semflow.core.errors import UserError
from semflow.core.progress import progress_over
from semflow.core.seeds import spread
from semflow.evaluation.ranks import Team
from semflow.evaluation.schema import EvaluateParams, check_enough_samples, other_split
from semflow.evaluation.system import EvaluatedSystem
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels


@dataclass(frozen=True)
class Batch:
    """N tested samples on the device.

    Args:
        items: Their numbers among the tested samples.
        image: (N, H, W, 3) uint8, at the size of training.
        label: (N, H, W) uint8 ids, at the size of training.
        native_labels: N labels (H', W') uint8, each as the raw data set has it.
    """

    items: range
    image: Tensor
    label: Tensor
    native_labels: tuple[Tensor, ...]


@dataclass(frozen=True)
class Latents:
    """What every solve of a batch starts from.

    Args:
        x_0: (N, C, h, w), of the images.
        x_1: (N, C, h, w), of the perturbed pseudo-masks.
    """

    x_0: Tensor
    x_1: Tensor


@dataclass(frozen=True)
class Chosen:
    """Some samples of a split.

    Args:
        folder: Pixel shards of the split.
        positions: Of the samples in them.
    """

    folder: ShardFolder
    positions: tuple[int, ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.positions)

    def read(self, items: Sequence[int], member: str, device: torch.device) -> list[Tensor]:
        """Pixels of one member of some of the samples, which are counted from 0."""
        contents = (self.folder.read(self.positions[item], member) for item in items)
        return [torch.tensor(png_pixels(content), device=device) for content in contents]

    def groups(self) -> list[Hashable]:
        """What each sample shares with those that are like it, or its own number."""
        places = (json.loads(self.folder.read(place, "json")) for place in self.positions)
        return [
            ("group", place["group"]) if "group" in place else ("sample", item)
            for item, place in enumerate(places)
        ]


@dataclass(frozen=True)
class EvaluatedSamples:
    """What is tested, and the real images that syntheses are compared with.

    Args:
        tested: Samples that are segmented and whose labels are synthesized.
        reference: Samples of the other held-out split; None where syntheses are compared with the
            images of their own labels.
        batch_size: Samples of a batch; the last may have fewer.
        team: The processes that share the batches.
    """

    tested: Chosen
    reference: Chosen | None
    batch_size: int
    team: Team

    def __len__(self) -> int:
        """How many samples are tested."""
        return len(self.tested)

    @property
    def own(self) -> int:
        """How many of them this process reads."""
        return sum(map(len, self._shares(self.tested)))

    def key(self, item: int) -> str:
        """The key of the tested sample with that number."""
        return self.tested.folder.key(self.tested.positions[item])

    def batches(self) -> Iterator[Batch]:
        """Reads this process's share in order."""
        for items in self._shares(self.tested):
            yield Batch(
                items,
                torch.stack(self.tested.read(items, "image.png", self.team.device)),
                torch.stack(self.tested.read(items, "label.png", self.team.device)),
                tuple(self.tested.read(items, "native_label.png", self.team.device)),
            )

    def reference_images(self) -> Iterator[Tensor]:
        """This process's share of the other split's images, (N, H, W, 3) uint8 batch by batch."""
        if self.reference is not None:
            shares = self._shares(self.reference)
            for items in progress_over(shares, len(shares), "reference", "batches", stays=False):
                yield torch.stack(self.reference.read(items, "image.png", self.team.device))

    def _shares(self, chosen: Chosen) -> list[range]:
        starts = range(0, len(chosen), self.batch_size)
        mine = [starts[number] for number in self.team.share(len(starts))]
        return [range(start, min(start + self.batch_size, len(chosen))) for start in mine]


def choose_samples(pixels: Path, params: EvaluateParams, team: Team) -> EvaluatedSamples:
    """Chooses what is tested and what it is compared with, spread evenly over each split.

    With "own" references their number is even, since the floor lies between two halves. Those of
    the other held-out split never show what a tested image shows, as neighbours in a split may.

    Args:
        pixels: Pixel shards, a folder for each split.
        params: Which split, how many of it, and the kind of reference.
        team: The processes that share the work.

    Raises:
        UserError: A split is absent or has too few samples.
    """
    own = params.reference == "own"
    tested = _choose(pixels, params.split, params.samples, own, "evaluate.split: val")
    if own:
        return EvaluatedSamples(tested, None, params.batch_size, team)
    other = other_split(params.split)
    reference = _choose(pixels, other, params.samples, own, "evaluate.reference: own")
    return EvaluatedSamples(tested, reference, params.batch_size, team)


def _choose(pixels: Path, split: str, samples: int, even: bool, cure: str) -> Chosen:
    if not (pixels / split).is_dir():
        raise UserError(
            f"{pixels} has no split {split}; set {cure}, or give the raw data a split {split} "
            f"and run: dvc repro"
        )
    folder = ShardFolder(read_manifest(pixels / split))
    check_enough_samples(len(folder), split)
    wanted = min(len(folder), samples)
    return Chosen(folder, tuple(spread(len(folder), wanted // 2 * 2 if even else wanted)))


def encode_batch(pipeline: EvaluatedSystem, batch: Batch, seed: int) -> Latents:
    """Encodes images and perturbed pseudo-masks; item i's perturbation follows from (seed, i)."""
    noise = pipeline.draw_noise(batch.items, seed)
    return Latents(pipeline.encode_image(batch.image), pipeline.encode_label(batch.label, noise))
