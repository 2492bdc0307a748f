"""Pixels counted once for all tested images, and image by image for intervals."""

from __future__ import annotations

import torch
from torch import Tensor

from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Interval
from semflow.metrics.confusion import ConfusionMatrix, areas_by_image


class Counts:
    """What one segmenter answered.

    Args:
        num_classes: K.
        team: The processes that share the batches.
    """

    def __init__(self, num_classes: int, team: Team) -> None:
        self.matrix = ConfusionMatrix(num_classes).to(team.device)
        self._areas: list[Tensor] = []
        self._team = team

    def update(self, prediction: Tensor, label: Tensor, image: Tensor, num_images: int) -> None:
        """Counts the pixels of a batch.

        Args:
            prediction: (P,) class ids.
            label: (P,) class ids and 255.
            image: (P,) int64, the number of each pixel's image in the batch.
            num_images: Images of the batch.
        """
        self.matrix.update(prediction, label)
        areas = areas_by_image(prediction, label, image, num_images, self.matrix.no_class)
        # A label has fewer pixels than 2^31: half the memory for data sets of many classes.
        self._areas.append(areas.int().cpu())

    def update_maps(self, prediction: Tensor, label: Tensor) -> None:
        """Counts label maps (N, H, W) of one size."""
        image = torch.arange(len(label), device=label.device).repeat_interleave(label[0].numel())
        self.update(prediction.flatten(), label.flatten(), image, len(label))

    def areas(self) -> Tensor:
        """(N, 3, K) int32 of all tested images in order, see `areas_by_image`; collective."""
        return torch.cat(self._team.in_order(self._areas))

    def intervals(self, bootstrap: Bootstrap) -> tuple[Interval, Interval]:
        """Of mIoU and pixel accuracy, from what all processes found.

        Args:
            bootstrap: Of all tested samples, in order.
        """
        return bootstrap.of_areas(self.areas())


def miou_by_image(areas: Tensor) -> Tensor:
    """Mean IoU of each image over the classes that it holds or that are predicted in it.

    Args:
        areas: (N, 3, K) pixels that are right, labelled and predicted, as `areas_by_image` counts.

    Returns:
        (N,) float64 in [0, 1]; nan where no pixel is labelled.
    """
    right, labelled, predicted = areas.double().unbind(dim=1)
    return (right / (labelled + predicted - right)).nanmean(dim=1)
