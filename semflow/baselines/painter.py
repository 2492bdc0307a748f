"""The simplest synthesizer: each class filled with its mean colour in the train split.

It puts the round trip in its place: what a segmenter says of such pictures owes nothing to texture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semflow.baselines.color_classifier import LEAST_LOG_PRIOR, ColorClassifier


def painter_colors(classifier: ColorClassifier) -> Tensor:
    """A colour for each label id, from what the colour classifier was fitted to.

    Ids without a colour of their own, which are classes without pixels and 255, take the mean of
    the other classes' colours.

    Returns:
        (256, 3) uint8, on the classifier's device.
    """
    seen = classifier.bias > LEAST_LOG_PRIOR / 2
    mean = classifier.color[seen].mean(dim=0)
    colors = mean.repeat(256, 1)
    colors[: len(seen)] = torch.where(seen[:, None], classifier.color, mean)
    return colors.round().clamp(0, 255).to(torch.uint8)


def paint(colors: Tensor, label: Tensor) -> Tensor:
    """Labels (N, H, W) uint8 -> images (N, H, W, 3) uint8, the same whatever the seed."""
    return colors[label.long()]
