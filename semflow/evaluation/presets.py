"""The field's ways to measure syntheses: how many are compared, and at which size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from types import MappingProxyType

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
        name: As reported.
        total: Syntheses in all, the same number of each mask but for the last; None for one a mask.
        short_side: Pixels that both sets are brought to; None for the training resolution.
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


def count_samples(preset: Preset, num_masks: int) -> SampleCount:
    """The samples of each mask and of all masks together that a preset asks for.

    Raises:
        ValueError: There is no mask.
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
