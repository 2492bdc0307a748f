"""Distances between two sets of image features: Frechet (as in FID) and kernel (as in KID)."""

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

# 1024 rows of 1280 float64 features are 10 MB, and so is one 1024 x 1024 block of the kernel.
_BLOCK_ROWS = 1024


class FeatureMoments:
    """Count, sum and sum of outer products of feature vectors, on the CPU in float64.

    States add, so that shards and processes can count apart.
    """

    def __init__(self, dimensions: int) -> None:
        """Start empty, for feature vectors of length `dimensions` (at least 1, else ValueError)."""
        if dimensions < 1:
            raise ValueError(f"dimensions is {dimensions}; give the length of a feature vector")
        self.dimensions = dimensions
        self.count = 0
        self.sum = torch.zeros(dimensions, dtype=torch.float64)
        self.outer = torch.zeros(dimensions, dimensions, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Add a batch, (N, dimensions) of any float dtype and device.

        Raises ValueError on another shape and on nan or infinite values.
        """
        _check_features("features", features, self.dimensions)
        batch = features.detach().to("cpu", torch.float64)
        self.count += len(batch)
        self.sum += batch.sum(dim=0)
        self.outer += batch.T @ batch

    def __add__(self, other: Self) -> Self:
        """Moments of both sets; neither operand changes. Raises ValueError if lengths differ."""
        if self.dimensions != other.dimensions:
            raise ValueError(
                f"cannot add moments of {self.dimensions} and {other.dimensions} dimensions; "
                "take both from one feature network"
            )
        total = type(self)(self.dimensions)
        total.count = self.count + other.count
        total.sum = self.sum + other.sum
        total.outer = self.outer + other.outer
        return total

    @property
    def mean(self) -> Tensor:
        """Mean vector, (dimensions,) float64. Raises ValueError if nothing was added."""
        if self.count < 1:
            raise ValueError("the mean of 0 features is undefined; add features first")
        return self.sum / self.count

    @property
    def covariance(self) -> Tensor:
        """Unbiased covariance, (dimensions, dimensions) float64.

        Raises ValueError if fewer than 2 vectors were added.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs 2 features, got {self.count}; add features first")
        mean = self.mean
        return (self.outer - self.count * torch.outer(mean, mean)) / (self.count - 1)


def frechet_distance(a: FeatureMoments, b: FeatureMoments) -> float:
    """Frechet distance |ma - mb|^2 + tr(Ca + Cb - 2 (Ca Cb)^(1/2)) of two Gaussians, >= 0.

    This is the squared form that FID reports (Heusel et al., "GANs Trained by a Two Time-Scale
    Update Rule Converge to a Local Nash Equilibrium", 2017). It is biased upwards on small sets:
    state both counts, and the distance between two real sets of those sizes, beside it.
    Raises ValueError if lengths differ or a set has fewer than 2 vectors.
    """
    if a.dimensions != b.dimensions:
        raise ValueError(
            f"features have {a.dimensions} and {b.dimensions} dimensions; "
            "take both from one feature network"
        )
    covariance_a, covariance_b = a.covariance, b.covariance
    # With C = F F^T the eigenvalues of Ca Cb are the squared singular values of Fa^T Fb. Taking
    # those directly keeps the digits that a square root of near-zero eigenvalues would lose, and
    # fewer images than dimensions, where sqrtm fails, make the matrix smaller instead.
    product = _low_rank_root(covariance_a).T @ _low_rank_root(covariance_b)
    overlap = torch.linalg.svdvals(product).sum()
    spread = covariance_a.trace() + covariance_b.trace() - 2 * overlap
    return max(0.0, float((a.mean - b.mean).square().sum() + spread))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Unbiased squared MMD between two sets with the kernel (x.y / D + 1)^3, as in KID.

    x is (N, D), y is (M, D), of any float dtype; both sets are used whole, in float64, not in
    random subsets. The estimate is unbiased and so may be slightly negative. Memory is flat in N
    and M beyond the inputs. Source: Binkowski et al., "Demystifying MMD GANs", 2018.
    Raises ValueError on other shapes, nan or infinite values, or a set of fewer than 2 vectors.
    """
    dimensions = x.shape[-1] if x.ndim else 0
    for name, features in (("x", x), ("y", y)):
        _check_features(name, features, dimensions)
        if len(features) < 2:
            raise ValueError(f"{name} has {len(features)} features; an unbiased MMD needs 2")
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x) - _self_kernel_sum(x)) / (n * (n - 1))
    within_y = (_kernel_sum(y, y) - _self_kernel_sum(y)) / (m * (m - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y) / (n * m)


def _low_rank_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    # Below this, eigenvalues are rounding noise, of which the root would be a million times larger.
    noise = values[-1] * len(values) * torch.finfo(values.dtype).eps
    kept = values > noise.clamp(min=0)
    root: Tensor = vectors[:, kept] * values[kept].sqrt()
    return root


def _blocks(features: Tensor) -> Iterator[Tensor]:
    for block in torch.split(features.detach(), _BLOCK_ROWS):
        yield block.double()


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    dimensions = x.shape[1]
    return sum(
        float((rows @ columns.T / dimensions + 1).pow(3).sum())
        for rows in _blocks(x)
        for columns in _blocks(y)
    )


def _self_kernel_sum(x: Tensor) -> float:
    dimensions = x.shape[1]
    return sum(
        float((rows.square().sum(dim=1) / dimensions + 1).pow(3).sum()) for rows in _blocks(x)
    )


def _check_features(name: str, features: Tensor, dimensions: int) -> None:
    if features.ndim != 2 or features.shape[1] != dimensions or not dimensions:
        raise ValueError(
            f"{name} has shape {tuple(features.shape)}; give (N, {dimensions or 'D'}) features"
        )
    if not features.is_floating_point():
        raise ValueError(f"{name} is {features.dtype}; give floating-point features")
    if not features.isfinite().all():
        raise ValueError(f"{name} holds nan or infinite values; look at what the network was fed")
