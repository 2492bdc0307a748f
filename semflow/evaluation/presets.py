"""The field's ways to measure syntheses: how many, how large, and what to write down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from semflow.metrics.checks import check_pixels

RESIZE_FILTER = "bicubic, antialiased, 8 bits (Pillow)"
"""OASIS and FreestyleNet resize so before FID, and so do this project's pixel shards. A filter
that does not average what it leaves out lowers or raises FID by more than methods differ: Parmar
et al., "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022."""

DIVERSITY_SAMPLES = 10
"""Samples of one mask that `lpips_div` compares pairwise; SDM's and SCDM's number."""


@dataclass(frozen=True)
class Preset:
    """How many syntheses are compared with the photos, and at which resolution.

    Args:
        name: as reported.
        total: syntheses in all, the same number of each mask but for the last; None for one a mask.
        short_side: pixels that both sets are brought to; None for the training resolution.
    """

    name: str
    total: int | None
    short_side: int | None


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset("paper", total=None, short_side=None),
        "sis256": Preset("sis256", total=None, short_side=256),
        "samples50k": Preset("samples50k", total=50_000, short_side=None),
    }
)
"""`paper`: SemFlow's. `sis256`: of the line SPADE, OASIS, SDM, where Cityscapes is 256x512.
`samples50k`: SymmFlow's."""


@dataclass(frozen=True)
class SampleCount:
    """How many syntheses a preset asks for: of each mask, and of all masks together."""

    per_mask: int
    total: int


class ProtocolRecord(BaseModel):
    """What a distance between syntheses and photos depends on; no such number goes without it.

    preset: a name in PRESETS.
    real, fake: images compared; samples_per_mask: syntheses of one mask among the fake.
    resolution: height and width that both sets were brought to, pixels.
    resize_filter: by which; squashed_photos: photos whose sides had another ratio, so that they
        were distorted.
    features, features_sha256: the feature network and the checksum of its weight file.
    lpips_sha256: checksum of LPIPS' backbone; null where no LPIPS was measured.
    versions: of the packages that computed the numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    real: int
    fake: int
    samples_per_mask: int
    resolution: tuple[int, int]
    resize_filter: str
    squashed_photos: int
    features: str
    features_sha256: str
    lpips_sha256: str | None
    versions: dict[str, str]


def count_samples(preset: Preset, num_masks: int) -> SampleCount:
    """The samples a mask and in all that a preset asks for.

    Raises:
        ValueError: there is no mask.
    """
    if num_masks < 1:
        raise ValueError(f"num_masks is {num_masks}; give at least 1")
    if preset.total is None:
        return SampleCount(per_mask=1, total=num_masks)
    return SampleCount(per_mask=-(-preset.total // num_masks), total=preset.total)


def choose_samples(preset: Preset, num_masks: int) -> Iterator[tuple[int, int]]:
    """The syntheses that are compared, as (sample, mask): every mask once, then every mask again.

    So where the total is no multiple of `num_masks`, masks differ by one sample, and none is left
    out.
    """
    count = count_samples(preset, num_masks)
    return islice(product(range(count.per_mask), range(num_masks)), count.total)


def resolution_of(preset: Preset, training_resolution: tuple[int, int]) -> tuple[int, int]:
    """Height and width that both sets are brought to; the sides keep their ratio."""
    if preset.short_side is None:
        return training_resolution
    scale = preset.short_side / min(training_resolution)
    height, width = (round(side * scale) for side in training_resolution)
    return height, width


def to_resolution(images: Tensor, resolution: tuple[int, int]) -> Tensor:
    """Resizes by RESIZE_FILTER; images that have the resolution stay as they are.

    Args:
        images: (N, 3, H, W) uint8.
        resolution: height and width, pixels.

    Returns:
        (N, 3, height, width) uint8 on the CPU.

    Raises:
        ValueError: on other shapes or dtypes.
    """
    check_pixels(images)
    if tuple(images.shape[2:]) == resolution:
        return images.cpu()
    height, width = resolution
    pictures = (Image.fromarray(pixels) for pixels in images.permute(0, 2, 3, 1).cpu().numpy())
    resized = [
        np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
        for picture in pictures
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()


def lpips_gt(perceptual: nn.Module, syntheses: Tensor, photos: Tensor) -> Tensor:
    """LPIPS of each synthesis to the photo that its mask belongs to; lower is better.

    What BBDM, SC-GAN and SemFlow report, as the mean over all masks.

    Args:
        perceptual: two (N, 3, H, W) in [-1, 1] -> (N,).
        syntheses, photos: (N, 3, H, W) uint8.

    Returns:
        (N,) float32.
    """
    with torch.no_grad():
        distances: Tensor = perceptual(_unit_range(syntheses), _unit_range(photos))
    return distances


def lpips_div(perceptual: nn.Module, samples: Tensor) -> float:
    """Mean LPIPS over all pairs of samples of one mask; higher is more diverse.

    What SDM and SCDM report, as the mean over masks, with DIVERSITY_SAMPLES samples of each.

    Args:
        perceptual: two (N, 3, H, W) in [-1, 1] -> (N,).
        samples: (K, 3, H, W) uint8, K >= 2.

    Raises:
        ValueError: there is no pair.
    """
    if len(samples) < 2:
        raise ValueError(f"{len(samples)} samples make no pair; give at least 2 of one mask")
    images = _unit_range(samples)
    with torch.no_grad():
        distances = [
            perceptual(first.expand_as(others), others)
            for first, others in ((images[i : i + 1], images[i + 1 :]) for i in range(len(images)))
            if len(others)
        ]
    return float(torch.cat(distances).mean())


def _unit_range(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1
