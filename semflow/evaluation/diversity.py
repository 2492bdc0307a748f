"""How much a seed changes: the distance between syntheses of one label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from semflow.core.seeds import spread
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.judges import Judges
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Interval
from semflow.evaluation.samples import Batch
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.system import EvaluatedSystem
from semflow.networks.encoding import to_unit_range


class Diversity:
    """Mean ST-LPIPS between neighbouring samples of one label: 0 where a seed changes nothing.

    Args:
        pipeline: The checkpoint, on its device; its default number of steps is taken.
        judges: Whose perceptual distance.
        params: How many labels, spread evenly over the tested ones, and how many samples of each.
        tested: How many labels there are.
        team: The processes that share the batches.
    """

    def __init__(
        self,
        pipeline: EvaluatedSystem,
        judges: Judges,
        params: EvaluateParams,
        tested: int,
        team: Team,
    ) -> None:
        self._pipeline, self._judges, self._team = pipeline, judges, team
        self._seeds = range(params.diversity_samples)
        self._chosen = spread(tested, params.diversity_labels)
        self._numbers = {item: number for number, item in enumerate(self._chosen)}
        self._between: list[Tensor] = []
        self._real: list[Tensor] = []

    def update(self, batch: Batch) -> None:
        """Synthesizes the chosen labels of a batch with every seed."""
        rows = [row for row, item in enumerate(batch.items) if item in self._numbers]
        if not rows:
            # Every batch has its place in the order of batches.
            self._between.append(torch.empty(0, len(self._seeds) - 1))
            self._real.append(torch.empty(0))
            return
        numbers = [self._numbers[batch.items[row]] for row in rows]
        perceptual = self._judges.perceptual
        samples = [
            perceptual.features(
                to_unit_range(synthesize(self._pipeline, batch.label[rows], numbers, seed))
            )
            for seed in self._seeds
        ]
        between = [perceptual.distance(one, other) for one, other in pairwise(samples)]
        self._between.append(torch.stack(between, dim=1))
        self._real.append(self._neighbours(to_unit_range(batch.image[rows])))

    def _neighbours(self, images: Tensor) -> Tensor:
        """(N - 1,), the distances between images (N, 3, H, W) and the next ones."""
        if len(images) == 1:
            return torch.empty(0)
        one, other = (self._judges.perceptual.features(part) for part in (images[:-1], images[1:]))
        return self._judges.perceptual.distance(one, other)

    def compute(self, bootstrap: Bootstrap) -> tuple[float, Interval]:
        """The mean over labels and pairs, from what all processes found, and its interval.

        Args:
            bootstrap: Of the tested samples.
        """
        by_label = torch.cat(self._team.in_order(self._between)).double().mean(dim=1)
        return float(by_label.mean()), bootstrap.only(self._chosen).of_mean(by_label)

    def between_images(self) -> float | None:
        """The same distance between the chosen labels' own images, neighbours of one batch.

        None where no batch has two of them.
        """
        between = torch.cat(self._team.in_order(self._real)).double()
        return float(between.mean()) if len(between) else None


def synthesize(pipeline: EvaluatedSystem, label: Tensor, items: Sequence[int], seed: int) -> Tensor:
    """Labels -> images with the checkpoint's default number of steps.

    Args:
        pipeline: The checkpoint.
        label: (N, H, W) uint8 ids at the size of training, on its device.
        items: N numbers; the perturbation of item i follows from (seed, i).
        seed: Base seed shared by all items.

    Returns:
        (N, H, W, 3) uint8.
    """
    x_1 = pipeline.encode_label(label, pipeline.draw_noise(items, seed))
    x_0 = pipeline.to_image(x_1, generators=pipeline.generators(items, seed))
    return pipeline.decode_pixels(x_0)
