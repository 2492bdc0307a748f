from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from semflow.evaluation.presets import (
    PRESETS,
    Preset,
    ProtocolRecord,
    SampleCount,
    choose_samples,
    count_samples,
    lpips_div,
    lpips_gt,
    resolution_of,
    to_resolution,
)

RECORD = ProtocolRecord(
    preset="paper",
    real=4,
    fake=4,
    samples_per_mask=1,
    resolution=(16, 16),
    resize_filter="bicubic",
    squashed_photos=0,
    features="mobilenetv2",
    features_sha256="0" * 64,
    lpips_sha256=None,
    versions={},
)


class MeanDifference(nn.Module):
    """A perceptual distance that can be worked by hand."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


def grey(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


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


def test_images_are_resized_as_pillow_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3), np.uint8)
    resized = to_resolution(torch.from_numpy(pixels).permute(0, 3, 1, 2), (6, 7))
    assert resized.shape == (2, 3, 6, 7)
    assert resized.dtype == torch.uint8
    for image, source in zip(resized, pixels, strict=True):
        expected = Image.fromarray(source).resize((7, 6), Image.Resampling.BICUBIC)
        assert np.array_equal(image.permute(1, 2, 0), np.asarray(expected))


def test_reducing_averages_what_it_leaves_out() -> None:
    # Every other column is white: without antialiasing the result would be black or white.
    stripes = grey(255).clone().expand(1, 3, 4, 4).repeat(1, 1, 8, 8)
    stripes[..., ::2] = 0
    assert (to_resolution(stripes, (8, 8)).float() - 127.5).abs().max() < 16


def test_images_of_the_resolution_stay_as_they_are() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 6)).byte()
    assert torch.equal(to_resolution(images, (8, 6)), images)


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4).byte(), torch.zeros(1, 4, 4, 3).byte()]
)
def test_what_is_no_batch_of_byte_images_is_not_resized(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(N, 3, H, W\)"):
        to_resolution(images, (2, 2))


def test_lpips_gt_compares_each_synthesis_with_its_own_photo() -> None:
    distances = lpips_gt(MeanDifference(), grey(0, 255), grey(255, 255))
    torch.testing.assert_close(distances, torch.tensor([2.0, 0.0]))


def test_lpips_div_is_the_mean_over_all_pairs_worked_by_hand() -> None:
    # |0 - 51|, |0 - 255| and |51 - 255| of 255 levels that span 2.
    expected = 2 * (51 + 255 + 204) / 255 / 3
    assert lpips_div(MeanDifference(), grey(0, 51, 255)) == pytest.approx(expected)


def test_lpips_div_of_ten_samples_is_the_mean_of_their_45_pairs() -> None:
    samples = torch.randint(0, 256, (10, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    samples = samples.byte()
    pairs = [
        float(lpips_gt(MeanDifference(), samples[i : i + 1], samples[j : j + 1]))
        for i, j in combinations(range(10), 2)
    ]
    assert len(pairs) == 45
    assert lpips_div(MeanDifference(), samples) == pytest.approx(sum(pairs) / 45, rel=1e-5)


def test_one_sample_has_no_diversity() -> None:
    with pytest.raises(ValueError, match="1 samples make no pair"):
        lpips_div(MeanDifference(), grey(0))


def test_a_record_lacks_nothing_adds_nothing_and_does_not_change() -> None:
    fields = RECORD.model_dump()
    for name in fields:
        with pytest.raises(ValidationError, match="missing"):
            ProtocolRecord.model_validate({k: v for k, v in fields.items() if k != name})
    with pytest.raises(ValidationError, match="extra_forbidden"):
        ProtocolRecord.model_validate({**fields, "note": ""})
    with pytest.raises(ValidationError, match="frozen"):
        RECORD.preset = "sis256"
