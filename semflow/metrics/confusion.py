"""Segmentation scores from one confusion matrix over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from semflow.core.labels import IGNORE_INDEX


class ConfusionMatrix(MulticlassConfusionMatrix):
    """Pixel counts by (label, prediction), added up over every image of a data set.

    torchmetrics counts and adds up the counts of all processes of a launch. One more column takes
    the predictions that are no class, which torchmetrics counts for another label or fails on: here
    they are wrong for the class of their label and accuse no other class.

    mIoU is a ratio of sums over the data set, as in mmsegmentation and the Cityscapes evaluator;
    it is not a mean over images. Reading a score is collective: all processes of a launch do it
    together.

    Args:
        num_classes: K.
        ignore_index: Label of the pixels that are left out.

    Raises:
        ValueError: There is no class, or `ignore_index` is one, for then its IoU would have no
            agreed meaning.
    """

    def __init__(self, num_classes: int, ignore_index: int = IGNORE_INDEX) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; give at least 1")
        if 0 <= ignore_index < num_classes:
            raise ValueError(
                f"ignore_index {ignore_index} is one of {num_classes} classes; choose one outside"
            )
        # Its own check looks for the distinct values of every batch, and costs more than counting.
        super().__init__(num_classes + 1, ignore_index=ignore_index, validate_args=False)
        self.no_class = num_classes

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Counts the pixels of some images.

        Args:
            prediction: Class ids of any integer dtype; others than 0 .. K - 1 are no class.
            label: Of the same shape, on the same device; class ids and `ignore_index`.

        Raises:
            ValueError: On other shapes or dtypes, or an unknown label; then nothing is counted.
        """
        _check_maps(prediction, label)
        stray = label[((label < 0) | (label >= self.no_class)) & (label != self.ignore_index)]
        if stray.numel():
            raise ValueError(
                f"label {int(stray[0])} is outside 0..{self.no_class - 1} and is not "
                f"ignore_index {self.ignore_index}; map the labels first"
            )
        known = (prediction >= 0) & (prediction < self.no_class)
        super().update(torch.where(known, prediction.long(), self.no_class), label)

    @property
    def counts(self) -> Tensor:
        """Pixels by label and prediction, (K, K + 1) int64; the last column is no class."""
        return self.compute()[: self.no_class]

    @property
    def iou_per_class(self) -> Tensor:
        """Intersection over union in 0..1, (K,) float64; nan where a class never occurs.

        torchmetrics' Jaccard index has no such mark: its score of a class that is neither labelled
        nor predicted is 0, as of one that is always missed.
        """
        counts = self.counts
        hits = counts.diagonal().double()
        union = counts.sum(dim=1) + counts[:, : self.no_class].sum(dim=0) - hits
        return hits / union

    @property
    def miou(self) -> float:
        """Mean IoU in 0..1 over the classes that are labelled or predicted; nan if none is."""
        return float(self.iou_per_class.nanmean())

    def miou_without(self, class_id: int) -> float:
        """The same mean over the other classes; the pixels of this one still count as errors."""
        iou = self.iou_per_class
        others = torch.arange(len(iou), device=iou.device) != class_id
        return float(iou[others].nanmean())

    @property
    def pixel_accuracy(self) -> float:
        """Fraction in 0..1 of the counted pixels that are right; nan if none was counted."""
        counts = self.counts
        return float(counts.diagonal().sum().double() / counts.sum())


def areas_by_image(
    prediction: Tensor, label: Tensor, image: Tensor, num_images: int, num_classes: int
) -> Tensor:
    """What each image adds to a mIoU, in a hundredth of the space of its confusion matrix.

    Args:
        prediction: (P,) class ids; others than 0 .. K - 1 are no class.
        label: (P,) class ids and IGNORE_INDEX, whose pixels are left out.
        image: (P,) int64, the number of each pixel's image.
        num_images: N.
        num_classes: K.

    Returns:
        (N, 3, K) int64: pixels that are right, labelled and predicted, by class.
    """
    counted = label != IGNORE_INDEX
    prediction, label, image = prediction[counted].long(), label[counted].long(), image[counted]
    known = (prediction >= 0) & (prediction < num_classes)

    def count(ids: Tensor, pixels: Tensor) -> Tensor:
        """Some pixels by image and class."""
        places = image[pixels] * num_classes + ids[pixels]
        return torch.bincount(places, minlength=num_images * num_classes)

    right = known & (prediction == label)
    found = [count(label, right), count(label, torch.ones_like(known)), count(prediction, known)]
    return torch.stack(found).view(3, num_images, num_classes).transpose(0, 1).contiguous()


def _check_maps(prediction: Tensor, label: Tensor) -> None:
    if prediction.shape != label.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} must have one "
            "shape; reduce scores with argmax and resize first"
        )
    for name, value in (("prediction", prediction), ("label", label)):
        if value.is_floating_point() or value.is_complex():
            raise ValueError(f"{name} is {value.dtype}; give integer class indices")
