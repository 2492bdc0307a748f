"""Segmentation scores from one confusion matrix over a whole split."""

from typing import Self

import torch
from torch import Tensor


class ConfusionMatrix:
    """Pixel counts by (label, prediction), added up over every image of a data set.

    mIoU is a ratio of sums over the data set, as in mmsegmentation and the Cityscapes evaluator;
    it is not a mean over images. States add, so that shards and processes can count apart.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        """Start from zero counts.

        Labels equal to `ignore_index` are left out. Raises ValueError if there is no class, or if
        `ignore_index` is itself a class, for then its IoU would have no agreed meaning.
        """
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; give at least 1")
        if 0 <= ignore_index < num_classes:
            raise ValueError(
                f"ignore_index {ignore_index} is one of {num_classes} classes; choose one outside"
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self._matrix = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64)

    @property
    def matrix(self) -> Tensor:
        """Pixel counts, (num_classes, num_classes + 1) int64 on the CPU; a copy.

        Rows are labels, columns are predictions; the last column counts predictions that are no
        class at all.
        """
        return self._matrix.clone()

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Count a batch.

        Both are (N, H, W) of any integer dtype on one device. A prediction outside
        0..num_classes-1 is wrong for the class of its label. Raises ValueError on other shapes or
        dtypes, and on a label that is neither a class nor `ignore_index`.
        """
        _check_maps(prediction, label)
        counted = label != self.ignore_index
        truth = label[counted].long()
        guess = prediction[counted].long()
        stray = truth[(truth < 0) | (truth >= self.num_classes)]
        if stray.numel():
            raise ValueError(
                f"label {int(stray[0])} is outside 0..{self.num_classes - 1} and is not "
                f"ignore_index {self.ignore_index}; map the labels first"
            )
        columns = self.num_classes + 1
        guess = torch.where((guess < 0) | (guess >= self.num_classes), self.num_classes, guess)
        counts = torch.bincount(truth * columns + guess, minlength=self._matrix.numel())
        self._matrix += counts.view_as(self._matrix).cpu()

    def __add__(self, other: Self) -> Self:
        """Counts of both; neither operand changes. Raises ValueError if their settings differ."""
        mine = (self.num_classes, self.ignore_index)
        others = (other.num_classes, other.ignore_index)
        if mine != others:
            raise ValueError(
                f"cannot add counts with (num_classes, ignore_index) {mine} and {others}; "
                "count both with the same settings"
            )
        total = type(self)(self.num_classes, self.ignore_index)
        total._matrix = self._matrix + other._matrix
        return total

    @property
    def iou_per_class(self) -> Tensor:
        """Intersection over union in 0..1, (num_classes,) float64.

        It is nan for a class that neither occurs in the labels nor is predicted.
        """
        hits = self._matrix.diagonal().double()
        labelled = self._matrix.sum(dim=1)
        predicted = self._matrix[:, : self.num_classes].sum(dim=0)
        return hits / (labelled + predicted - hits)

    @property
    def miou(self) -> float:
        """Mean IoU in 0..1 over the classes that are labelled or predicted; nan if none is."""
        return float(self.iou_per_class.nanmean())

    def miou_without(self, class_id: int) -> float:
        """The same mean over the other classes; the pixels of this one still count as errors."""
        others = torch.arange(self.num_classes) != class_id
        return float(self.iou_per_class[others].nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Fraction in 0..1 of the counted pixels that are right; nan if none was counted."""
        return float(self._matrix.diagonal().sum().double() / self._matrix.sum())

    @property
    def pixels_per_class(self) -> Tensor:
        """Counted pixels by label, (num_classes,) int64."""
        return self._matrix.sum(dim=1)


def _check_maps(prediction: Tensor, label: Tensor) -> None:
    if prediction.ndim != 3 or prediction.shape != label.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} must both be "
            "(N, H, W); reduce scores with argmax and resize first"
        )
    for name, value in (("prediction", prediction), ("label", label)):
        if value.is_floating_point() or value.is_complex():
            raise ValueError(f"{name} is {value.dtype}; give integer class indices")
