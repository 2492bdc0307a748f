"""Which samples of a split are measured, against which, and the one pass that reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from semflow.core.seeds import spread
from semflow.evaluation.ranks import Team
from semflow.evaluation.schema import EvaluateParams
from semflow.pipeline import SemFlowPipeline
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
        others: (N, H, W, 3) uint8, real images of other samples that syntheses are compared with;
            None where they are compared with the images of their own labels.
    """

    items: range
    image: Tensor
    label: Tensor
    native_labels: tuple[Tensor, ...]
    others: Tensor | None


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
class EvaluatedSamples:
    """Some samples of a split.

    Args:
        folder: Pixel shards of the split.
        tested: Positions of the samples that are segmented and whose labels are synthesized.
        others: As many positions of other samples, or None: see `Batch`.
        batch_size: Samples of a batch; the last may have fewer.
        team: The processes that share the batches.
    """

    folder: ShardFolder
    tested: tuple[int, ...]
    others: tuple[int, ...] | None
    batch_size: int
    team: Team

    def __len__(self) -> int:
        """How many samples are tested."""
        return len(self.tested)

    def key(self, item: int) -> str:
        """The key of the tested sample with that number."""
        return self.folder.key(self.tested[item])

    def batches(self) -> Iterator[Batch]:
        """Reads this process's share in order, behind a progress bar."""
        starts = range(0, len(self), self.batch_size)
        for start in tqdm(
            [starts[number] for number in self.team.share(len(starts))],
            desc="evaluate",
            unit=" batches",
            mininterval=2,
            disable=not self.team.is_first,
        ):
            items = range(start, min(start + self.batch_size, len(self)))
            tested = [self.tested[item] for item in items]
            yield Batch(
                items,
                torch.stack(self._read(tested, "image.png")),
                torch.stack(self._read(tested, "label.png")),
                tuple(self._read(tested, "native_label.png")),
                self._others(items),
            )

    def _others(self, items: range) -> Tensor | None:
        if self.others is None:
            return None
        return torch.stack(self._read([self.others[item] for item in items], "image.png"))

    def _read(self, positions: Sequence[int], member: str) -> list[Tensor]:
        pixels = [png_pixels(self.folder.read(position, member)) for position in positions]
        return [torch.tensor(array, device=self.team.device) for array in pixels]


def choose_samples(folder: ShardFolder, params: EvaluateParams, team: Team) -> EvaluatedSamples:
    """Chooses an even number of samples, spread evenly over the split.

    With "own" references all of them are tested. With "other" ones they take turns: every second
    is tested, and compared with those between.

    Args:
        folder: Pixel shards of the split.
        params: How many, and the kind of reference.
        team: The processes that share the work.
    """
    sets = 1 if params.reference == "own" else 2
    wanted = min(len(folder), sets * params.samples) // 2 * 2
    positions = tuple(spread(len(folder), wanted))
    if params.reference == "own":
        return EvaluatedSamples(folder, positions, None, params.batch_size, team)
    return EvaluatedSamples(folder, positions[::2], positions[1::2], params.batch_size, team)


def encode_batch(pipeline: SemFlowPipeline, batch: Batch, seed: int) -> Latents:
    """Encodes images and perturbed pseudo-masks; item i's perturbation follows from (seed, i)."""
    noise = pipeline.draw_noise(batch.items, seed)
    return Latents(pipeline.encode_image(batch.image), pipeline.encode_label(batch.label, noise))
