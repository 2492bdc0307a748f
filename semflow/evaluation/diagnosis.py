"""Why more steps may segment worse, and how much of the latents' deviation syntheses keep."""

from __future__ import annotations

import torch
from torch import Tensor

from semflow.core.seeds import spread
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Diagnosis, StateFigures
from semflow.evaluation.samples import Batch, Latents
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.segmentation import UPSAMPLING, native_predictions
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pipeline import SemFlowPipeline

TIMES = (0.0, 0.04, 0.08, 0.16, 0.32, 0.48, 0.64, 0.8, 0.96)
"""Multiples of 1/25, close together near the image, where narrow channels are decided."""


class ChannelDeviations:
    """The standard deviation of each channel over samples and places, batch by batch.

    Args:
        team: The processes that share the batches.
    """

    def __init__(self, team: Team) -> None:
        self._sums: list[Tensor] = []
        self._team = team

    def update(self, x: Tensor) -> None:
        """Adds latents (N, C, h, w); a batch without samples too, since it has its place."""
        values = x.transpose(0, 1).flatten(1).double()
        count = values.new_full((len(values),), values.shape[1])
        total = values.sum(dim=1)
        mean = total / count.clamp(min=1)
        around_mean = (values - mean[:, None]).square().sum(dim=1)
        self._sums.append(torch.stack([count, total, around_mean]))

    def compute(self) -> Tensor:
        """(C,) float64, as torch.std has them, from the latents of all processes."""
        count, total, around_mean = torch.stack(self._team.in_order(self._sums)).unbind(dim=1)
        # Around each batch's own mean and then these around the whole's: squares of the values
        # themselves would leave rounding errors where a channel is constant.
        mean = total.sum(dim=0) / count.sum(dim=0)
        between = count * (total / count.clamp(min=1) - mean).square()
        return ((around_mean + between).sum(dim=0) / (count.sum(dim=0) - 1)).sqrt()


class DiagnosisMeasure:
    """Segmentation in one step from times on the way, and the deviations of synthesized latents.

    Args:
        pipeline: The checkpoint, on its device.
        params: How many samples, and numbers of steps: to segment, the most of them; to
            synthesize, each of them and the checkpoint's own.
        tested: How many samples there are.
        team: The processes that share the batches.
    """

    def __init__(
        self, pipeline: SemFlowPipeline, params: EvaluateParams, tested: int, team: Team
    ) -> None:
        self._pipeline = pipeline
        self._chosen = frozenset(spread(tested, params.diagnosis_samples))
        self._num_steps = max(params.segmentation_steps)
        self._upsample = UPSAMPLING[params.upsampling]

        def by_time() -> list[ConfusionMatrix]:
            """Empty counts for each time."""
            classes = pipeline.palette.num_classes
            return [ConfusionMatrix(classes).to(team.device) for _ in TIMES]

        self._from_true, self._from_own = by_time(), by_time()
        self._real = ChannelDeviations(team)
        steps = sorted({*params.synthesis_steps, pipeline.config.synthesize_steps})
        self._made = {num_steps: ChannelDeviations(team) for num_steps in steps}

    def update(self, batch: Batch, latents: Latents) -> None:
        """Takes the chosen samples of a batch."""
        rows = [row for row, item in enumerate(batch.items) if item in self._chosen]
        x_0, x_1 = latents.x_0[rows], latents.x_1[rows]
        if rows:
            self._segment(x_0, x_1, [batch.native_labels[row] for row in rows])
        self._real.update(x_0)
        for num_steps, deviations in self._made.items():
            deviations.update(self._pipeline.to_image(x_1, num_steps) if rows else x_0)

    def compute(self) -> Diagnosis:
        """The result, from what all processes found."""
        real = self._real.compute()
        figures = zip(TIMES, self._from_true, self._from_own, strict=True)
        return Diagnosis(
            samples=len(self._chosen),
            segmentation_steps=self._num_steps,
            states=[
                StateFigures(t=t, miou_from_true=true.miou, miou_from_own=own.miou)
                for t, true, own in figures
            ],
            image_deviations=real.tolist(),
            surviving_shares={
                num_steps: _shares(deviations.compute(), real)
                for num_steps, deviations in self._made.items()
            },
        )

    def _segment(self, x_0: Tensor, x_1: Tensor, labels: list[Tensor]) -> None:
        truth = torch.cat([label.flatten() for label in labels])
        estimates = self._pipeline.masks_ahead(x_0, x_1, TIMES, self._num_steps)
        for masks, found in zip(estimates, (self._from_true, self._from_own), strict=True):
            for mask, matrix in zip(masks, found, strict=True):
                scores = self._pipeline.class_scores(mask)
                matrix.update(native_predictions(scores, labels, self._upsample), truth)


def _shares(made: Tensor, real: Tensor) -> list[float | None]:
    pairs = zip(made.tolist(), real.tolist(), strict=True)
    return [one / other if other else None for one, other in pairs]
