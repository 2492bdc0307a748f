"""Distances between two sets of image features: Frechet (as in FID) and kernel (as in KID)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# 1024 rows of 1280 float64 features are 10 MB, and so is one 1024 x 1024 block of the kernel.
_BLOCK_ROWS = 1024
# Triangles are merged block by block; larger blocks repeat less of that work.
_TRIANGLE_ROWS = 8192


def distances(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Frechet and kernel distance between feature sets (N, D) and (M, D)."""
    return frechet_distance(x, y), kernel_distance(x, y)


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Frechet distance |mx - my|^2 + tr(Cx + Cy - 2 (Cx Cy)^(1/2)) of two Gaussians, >= 0.

    This is the squared form that FID reports (Heusel et al., "GANs Trained by a Two Time-Scale
    Update Rule Converge to a Local Nash Equilibrium", 2017). It is biased upwards on small sets:
    state both counts, and the distance between two real sets of those sizes, beside it. Memory is
    flat in N and M beyond the inputs.

    Not torchmetrics' FrechetInceptionDistance, which takes square roots of the eigenvalues of
    Cx Cy. Of fewer images than dimensions most of these are rounding noise around zero, whose
    roots are a million times larger and add up, and its float64 sums depend on how processes share
    the images.

    Args:
        x: (N, D) float on any device, N >= 2.
        y: (M, D) float, M >= 2.

    Raises:
        ValueError: On other shapes, dtypes, nan or infinite values.
    """
    _check_sets(x, y)
    mean_x, mean_y = mean_of(x), mean_of(y)
    root_x, root_y = covariance_root(x, mean_x), covariance_root(y, mean_y)
    # With C = R^T R the eigenvalues of Cx Cy are the squared singular values of Rx Ry^T. Taking
    # those directly keeps the digits that a square root of near-zero eigenvalues would lose.
    overlap = torch.linalg.svdvals(root_x @ root_y.T).sum()
    spread = root_x.square().sum() + root_y.square().sum() - 2 * overlap
    return max(0.0, float((mean_x - mean_y).square().sum() + spread))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Unbiased squared MMD between two sets with the kernel (x.y / D + 1)^3, as in KID.

    The estimate is unbiased and so may be slightly negative. Memory is flat in N and M beyond the
    inputs. Source: Binkowski et al., "Demystifying MMD GANs", 2018.

    Not torchmetrics' KernelInceptionDistance, which averages over random subsets of one size for
    both sets: sets of unequal size are never used whole, and the figure depends on a random state.
    Its `poly_mmd` divides by the first set's size whatever the second's is.

    Args:
        x: (N, D) float on any device, N >= 2; computed in float64.
        y: (M, D) float, M >= 2.

    Raises:
        ValueError: On other shapes, dtypes, nan or infinite values.
    """
    _check_sets(x, y)
    n, m = len(x), len(y)
    within_x = (kernel_sum(x, x) - self_kernel_sum(x)) / (n * (n - 1))
    within_y = (kernel_sum(y, y) - self_kernel_sum(y)) / (m * (m - 1))
    return within_x + within_y - 2 * kernel_sum(x, y) / (n * m)


def mean_of(features: Tensor) -> Tensor:
    """(D,) float64, the mean of features (N, D), in memory that is flat in N."""
    blocks = torch.split(features.detach(), _TRIANGLE_ROWS)
    total = torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0)
    return total / len(features)


def covariance_root(features: Tensor, mean: Tensor) -> Tensor:
    """R, (min(N, D), D) float64, with R^T R the unbiased covariance of features (N, D)."""
    triangle = features.new_empty((0, features.shape[1]), dtype=torch.float64)
    for block in torch.split(features.detach(), _TRIANGLE_ROWS):
        rows = torch.cat([triangle, block.double() - mean])
        triangle = torch.linalg.qr(rows, mode="r").R
    return triangle / (len(features) - 1) ** 0.5


def kernel_sum(x: Tensor, y: Tensor) -> float:
    """The kernel's sum over all pairs of rows of (N, D) and (M, D)."""
    dimensions = x.shape[1]
    return sum(
        float((rows @ columns.T / dimensions + 1).pow(3).sum())
        for rows in _blocks(x)
        for columns in _blocks(y)
    )


def self_kernel_sum(x: Tensor) -> float:
    """The kernel's sum over the pairs of each row of (N, D) with itself."""
    dimensions = x.shape[1]
    return sum(
        float((rows.square().sum(dim=1) / dimensions + 1).pow(3).sum()) for rows in _blocks(x)
    )


def _blocks(features: Tensor) -> Iterator[Tensor]:
    for block in torch.split(features.detach(), _BLOCK_ROWS):
        yield block.double()


def _check_sets(x: Tensor, y: Tensor) -> None:
    dimensions = x.shape[-1] if x.ndim else 0
    for name, features in (("x", x), ("y", y)):
        if features.ndim != 2 or features.shape[1] != dimensions or not dimensions:
            raise ValueError(
                f"{name} has shape {tuple(features.shape)}; give (N, {dimensions or 'D'}) features"
            )
        if not features.is_floating_point():
            raise ValueError(f"{name} is {features.dtype}; give floating-point features")
        if not features.isfinite().all():
            raise ValueError(
                f"{name} holds nan or infinite values; look at what the network was fed"
            )
        if len(features) < 2:
            raise ValueError(f"{name} has {len(features)} features; give at least 2")
