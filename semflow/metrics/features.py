"""The networks that sets of images are compared by, and how images pass through them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

FeatureName = Literal["pt_inception-2015-12-05", "mobilenetv2"]

Name = TypeVar("Name", bound=Hashable)

CHUNK = 16
"""Images that a fixed network takes at a time. Its first layers hold a hundred times an image, and
a processor's cache keeps those of 16: MobileNetV2 is twice as fast as with 64 at a time."""


@dataclass(frozen=True)
class FeatureNetwork:
    """What images are compared by.

    Args:
        name: The distances are named after it.
        network: (N, 3, H, W) uint8 -> (N, D).
        sha256: Of its weight file.
    """

    name: FeatureName
    network: nn.Module
    sha256: str


class PerceptualDistance(Protocol):
    """A distance between images by features that are computed once for each image."""

    def features(self, images: Tensor) -> list[Tensor]:
        """Features of images (N, 3, H, W) float in [-1, 1]."""

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Distances (N,) between images by their features."""


@torch.no_grad()
def in_chunks(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What a network makes of images, CHUNK at a time.

    Args:
        network: (N, ...) -> (N, D).
        images: (N, ...), N >= 1.
    """
    return torch.cat([network(chunk) for chunk in images.split(CHUNK)])


@torch.no_grad()
def distances_to_truth(
    perceptual: PerceptualDistance, made: Mapping[Name, Tensor], truth: Tensor
) -> dict[Name, Tensor]:
    """Perceptual distances of several sets of syntheses to one set of images.

    Args:
        perceptual: The distance.
        made: (N, 3, H, W) float in [-1, 1] each.
        truth: (N, 3, H, W) float in [-1, 1], whose features are computed once.

    Returns:
        (N,) for each set.
    """
    parts: dict[Name, list[Tensor]] = {name: [] for name in made}
    for start in range(0, len(truth), CHUNK):
        rows = slice(start, start + CHUNK)
        true_features = perceptual.features(truth[rows])
        for name, images in made.items():
            features = perceptual.features(images[rows])
            parts[name].append(perceptual.distance(features, true_features))
    return {name: torch.cat(found) for name, found in parts.items()}
