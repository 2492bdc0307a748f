"""The simplest segmenter: one Gaussian over colours for each class, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from semflow.baselines.blur import blurred
from semflow.core.labels import IGNORE_INDEX, class_table
from semflow.core.progress import progress_over
from semflow.shards.manifest import Manifest
from semflow.shards.reading import stream
from semflow.shards.tar import png_pixels

LEAST_LOG_PRIOR = -1e30
"""Of a class without pixels: never the highest, and finite, so that scores can be interpolated."""


@dataclass(frozen=True)
class ColorClassifier:
    """log p(class | colour) up to a constant, as a quadratic form of the blurred image's colour.

    Args:
        mean: (K, 3) float32, grey levels.
        precision: (K, 3, 3) float32, inverse covariances.
        bias: (K,) float32, log prior minus half the log determinant of the covariance.
        blur: Standard deviation of the blur, pixels.
        color: (K, 3) float32, mean grey levels of each class before any blur.
    """

    mean: Tensor
    precision: Tensor
    bias: Tensor
    blur: float
    color: Tensor

    def score_batch(self, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> log p(class | colour) + constant, (N, K, H, W) float32."""
        colors = blurred(pixels, self.blur)
        # Class by class: all differences at once are three times as large as the answer.
        forms = []
        for mean, precision in zip(self.mean, self.precision, strict=True):
            difference = colors - mean
            forms.append(((difference @ precision) * difference).sum(dim=-1))
        return self.bias[:, None, None] - torch.stack(forms, dim=1) / 2

    def to(self, device: torch.device) -> ColorClassifier:
        """The same on a device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in _TENSORS})


_TENSORS = ("mean", "precision", "bias", "color")


@dataclass(frozen=True)
class _Moments:
    """What is added up over the pixels of each class.

    Args:
        count: (K,) float64.
        total: (K, 3) float64, sums of colours.
        outer: (K, 3, 3) float64, sums of their outer products.
    """

    count: NDArray[np.float64]
    total: NDArray[np.float64]
    outer: NDArray[np.float64]

    @classmethod
    def none(cls, num_classes: int) -> _Moments:
        """Those of no pixel."""
        return cls(*(np.zeros((num_classes, *shape)) for shape in ((), (3,), (3, 3))))

    def add(self, image: NDArray[np.float64], label: NDArray[np.uint8]) -> None:
        """Takes colours (P, 3) and label ids (P,)."""
        for class_id in np.setdiff1d(label, [IGNORE_INDEX]):
            colors = image[label == class_id]
            self.count[class_id] += len(colors)
            self.total[class_id] += colors.sum(axis=0)
            self.outer[class_id] += colors.T @ colors

    @property
    def mean(self) -> NDArray[np.float64]:
        """(K, 3); zeros for a class without pixels."""
        return self.total / np.maximum(self.count, 1)[:, None]


def choose_color_classifier(
    train: Manifest, val: Manifest, blurs: Sequence[float]
) -> ColorClassifier:
    """Fits one for each blur, and keeps that with the highest mIoU on val; the first of equals.

    Args:
        train: Pixel shards of the split that all are fitted to.
        val: Pixel shards of the split that decides.
        blurs: Standard deviations, pixels.
    """
    classifiers = fit_color_classifiers(train, blurs)
    return max(zip(_mious(classifiers, val), classifiers, strict=True), key=lambda pair: pair[0])[1]


def fit_color_classifiers(manifest: Manifest, blurs: Sequence[float]) -> list[ColorClassifier]:
    """Fits one for each blur to every labelled pixel of a split, in one pass.

    A class without pixels is never predicted; covariances get one grey level squared added.
    """
    num_classes = len(class_table(manifest.about["classes"]).names)
    plain, *found = [_Moments.none(num_classes) for _ in range(1 + len(blurs))]
    for members in _members(manifest):
        image = torch.tensor(png_pixels(members["image.png"]))[None]
        label = png_pixels(members["label.png"]).reshape(-1)
        for blur, moments in zip((0.0, *blurs), (plain, *found), strict=True):
            moments.add(blurred(image, blur).reshape(-1, 3).double().numpy(), label)
    color = torch.from_numpy(plain.mean).float()
    return [_from_moments(*pair, color) for pair in zip(found, blurs, strict=True)]


def _members(manifest: Manifest) -> Iterator[Mapping[str, bytes]]:
    samples, count = stream(manifest), len(manifest)
    for _, members in progress_over(samples, count, "colours", "samples", stays=False):
        yield members


def _from_moments(moments: _Moments, blur: float, color: Tensor) -> ColorClassifier:
    mean, pixels = moments.mean, np.maximum(moments.count, 1)[:, None, None]
    covariance = moments.outer / pixels - mean[:, :, None] * mean[:, None, :] + np.eye(3)
    with np.errstate(divide="ignore"):
        log_prior = np.maximum(np.log(moments.count / moments.count.sum()), LEAST_LOG_PRIOR)
    bias = log_prior - np.linalg.slogdet(covariance)[1] / 2
    arrays = {"mean": mean, "precision": np.linalg.inv(covariance), "bias": bias}
    tensors = {name: torch.from_numpy(each).float() for name, each in arrays.items()}
    return ColorClassifier(**tensors, blur=blur, color=color)


def _mious(classifiers: Sequence[ColorClassifier], manifest: Manifest) -> list[float]:
    """mIoU of each over the classes that are labelled or predicted; nan becomes 0."""
    num_classes = len(classifiers[0].bias)
    counts = torch.zeros(len(classifiers), num_classes**2, dtype=torch.int64)
    for members in _members(manifest):
        image = torch.tensor(png_pixels(members["image.png"]))[None]
        label = torch.tensor(png_pixels(members["label.png"]))[None].long()
        for number, classifier in enumerate(classifiers):
            prediction = classifier.score_batch(image).argmax(dim=1)
            pairs = (label * num_classes + prediction)[label != IGNORE_INDEX]
            counts[number] += pairs.bincount(minlength=num_classes**2)
    matrices = counts.view(-1, num_classes, num_classes).double()
    hits = matrices.diagonal(dim1=1, dim2=2)
    scores: list[float] = (hits / (matrices.sum(1) + matrices.sum(2) - hits)).nanmean(1).tolist()
    return [0.0 if score != score else score for score in scores]


def save_color_classifier(classifier: ColorClassifier, path: Path) -> None:
    """Writes it as safetensors."""
    tensors = {name: getattr(classifier, name) for name in _TENSORS}
    save_file({**tensors, "blur": torch.tensor(classifier.blur, dtype=torch.float64)}, path)


def load_color_classifier(path: Path) -> ColorClassifier:
    """Reads what `save_color_classifier` wrote."""
    found = load_file(path)
    return ColorClassifier(**{**found, "blur": float(found["blur"])})
