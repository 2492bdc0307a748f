"""The simplest segmenter: one Gaussian over colours for each class, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from semflow.core.labels import IGNORE_INDEX, class_table
from semflow.shards.manifest import Manifest
from semflow.shards.reading import stream
from semflow.shards.tar import png_pixels

LEAST_LOG_PRIOR = -1e30
"""Of a class without pixels: never the highest, and finite, so that scores can be interpolated."""


@dataclass(frozen=True)
class ColorClassifier:
    """log p(class | colour) up to a constant, as a quadratic form of the colour.

    Args:
        mean: (K, 3) float32, grey levels.
        precision: (K, 3, 3) float32, inverse covariances.
        bias: (K,) float32, log prior minus half the log determinant of the covariance.
    """

    mean: Tensor
    precision: Tensor
    bias: Tensor

    def score_batch(self, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> log p(class | colour) + constant, (N, K, H, W) float32."""
        # Class by class: all differences at once are three times as large as the answer.
        forms = []
        for mean, precision in zip(self.mean, self.precision, strict=True):
            difference = pixels.float() - mean
            forms.append(((difference @ precision) * difference).sum(dim=-1))
        return self.bias[:, None, None] - torch.stack(forms, dim=1) / 2


def fit_color_classifier(manifest: Manifest) -> ColorClassifier:
    """Fits it to every labelled pixel of a split in one pass.

    A class without pixels is never predicted; covariances get one grey level squared added.
    """
    num_classes = len(class_table(manifest.about["classes"]).names)
    count = np.zeros(num_classes)
    total = np.zeros((num_classes, 3))
    outer = np.zeros((num_classes, 3, 3))
    for _, members in stream(manifest):
        image = png_pixels(members["image.png"]).reshape(-1, 3).astype(np.float64)
        label = png_pixels(members["label.png"]).reshape(-1)
        for class_id in np.setdiff1d(label, [IGNORE_INDEX]):
            colors = image[label == class_id]
            count[class_id] += len(colors)
            total[class_id] += colors.sum(axis=0)
            outer[class_id] += colors.T @ colors
    return _from_moments(count, total, outer)


def _from_moments(
    count: NDArray[np.float64], total: NDArray[np.float64], outer: NDArray[np.float64]
) -> ColorClassifier:
    pixels = np.maximum(count, 1)
    mean = total / pixels[:, None]
    covariance = outer / pixels[:, None, None] - mean[:, :, None] * mean[:, None, :] + np.eye(3)
    with np.errstate(divide="ignore"):
        log_prior = np.maximum(np.log(count / count.sum()), LEAST_LOG_PRIOR)
    bias = log_prior - np.linalg.slogdet(covariance)[1] / 2
    arrays = (mean, np.linalg.inv(covariance), bias)
    return ColorClassifier(*(torch.from_numpy(array).float() for array in arrays))


def save_color_classifier(classifier: ColorClassifier, path: Path) -> None:
    """Writes it as safetensors."""
    save_file({name: getattr(classifier, name) for name in _FIELDS}, path)


def load_color_classifier(path: Path) -> ColorClassifier:
    """Reads what `save_color_classifier` wrote."""
    return ColorClassifier(**load_file(path))


_FIELDS = ("mean", "precision", "bias")
