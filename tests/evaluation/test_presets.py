from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semflow.evaluation.presets import (
    PRESETS,
    Preset,
    SampleCount,
    choose_samples,
    count_samples,
    resolution_of,
)


@pytest.mark.parametrize(
    ("preset", "num_masks", "per_mask", "total"),
    [
        ("paper", 2_993, 1, 2_993),
        ("sis256", 500, 1, 500),
        # CelebAMask-HQ's val and test split, COCO-Stuff's val split, and one that divides evenly.
        ("samples50k", 2_993, 17, 50_000),
        ("samples50k", 2_824, 18, 50_000),
        ("samples50k", 5_000, 10, 50_000),
        ("samples50k", 50_000, 1, 50_000),
        ("samples50k", 118_287, 1, 50_000),
    ],
)
def test_a_preset_asks_for_as_many_samples_as_its_paper(
    preset: str, num_masks: int, per_mask: int, total: int
) -> None:
    assert count_samples(PRESETS[preset], num_masks) == SampleCount(per_mask, total)


def test_without_a_mask_there_is_nothing_to_count() -> None:
    with pytest.raises(ValueError, match="num_masks is 0"):
        count_samples(PRESETS["paper"], 0)


def test_five_samples_of_two_masks_are_those_written_out() -> None:
    chosen = choose_samples(Preset("five", total=5, short_side=None), num_masks=2)
    assert list(chosen) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]


@given(st.integers(1, 60), st.integers(1, 40))
def test_exactly_the_total_is_chosen_and_no_mask_is_slighted(total: int, num_masks: int) -> None:
    preset = Preset("some", total, short_side=None)
    chosen = list(choose_samples(preset, num_masks))
    assert len(set(chosen)) == len(chosen) == total
    assert max(sample for sample, _ in chosen) < count_samples(preset, num_masks).per_mask
    counts = Counter(mask for _, mask in chosen)
    assert max(counts.values()) - min(counts[mask] for mask in range(num_masks)) <= 1


@pytest.mark.parametrize(
    ("preset", "training", "expected"),
    [
        ("paper", (512, 1024), (512, 1024)),
        ("samples50k", (512, 512), (512, 512)),
        ("sis256", (512, 1024), (256, 512)),
        ("sis256", (512, 512), (256, 256)),
        ("sis256", (64, 64), (256, 256)),
        ("sis256", (640, 480), (341, 256)),
    ],
)
def test_a_preset_keeps_the_ratio_of_the_sides(
    preset: str, training: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resolution_of(PRESETS[preset], training) == expected
