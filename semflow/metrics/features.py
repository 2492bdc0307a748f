"""Features of a set of images, and the two distances between sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from semflow.metrics.distribution import FeatureMoments, frechet_distance, kernel_distance

FeatureName = Literal["pt_inception-2015-12-05", "mobilenetv2"]


@dataclass(frozen=True)
class FeatureNetwork:
    """What images are compared by.

    Args:
        name: the distances are named after it.
        network: (N, 3, H, W) uint8 -> (N, D).
        sha256: of its weight file.
    """

    name: FeatureName
    network: nn.Module
    sha256: str


@dataclass(frozen=True)
class FeatureSet:
    """Features (N, D) of one set of images, and their moments, which add up."""

    vectors: Tensor
    moments: FeatureMoments

    @classmethod
    def of(cls, network: nn.Module, batches: Iterable[Tensor], device: torch.device) -> FeatureSet:
        """Passes over batches (N, 3, H, W) uint8, at least one, holding one at a time."""
        with torch.no_grad():
            vectors = torch.cat([network(batch.to(device)).cpu() for batch in batches])
        return cls.from_vectors(vectors)

    @classmethod
    def from_vectors(cls, vectors: Tensor) -> FeatureSet:
        """From features (N, D)."""
        moments = FeatureMoments(vectors.shape[1])
        moments.update(vectors)
        return cls(vectors, moments)

    def __add__(self, other: FeatureSet) -> FeatureSet:
        """Both sets together."""
        return FeatureSet(torch.cat([self.vectors, other.vectors]), self.moments + other.moments)

    def __len__(self) -> int:
        """N."""
        return len(self.vectors)

    def distances(self, other: FeatureSet) -> tuple[float, float]:
        """Frechet and kernel distance to another set."""
        return (
            frechet_distance(self.moments, other.moments),
            kernel_distance(self.vectors, other.vectors),
        )
