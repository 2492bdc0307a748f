from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import ALONE, shard_folder
from torch import Tensor

from semflow.evaluation.counts import Counts
from semflow.evaluation.intervals import DRAWS, Bootstrap
from semflow.evaluation.samples import Chosen
from semflow.metrics.resampled import resampled_distances
from semflow.shards.reading import ShardFolder


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_mean_of_three_values_lies_between_the_least_and_the_largest_in_95_of_100() -> None:
    # All three picks are the same in 1 of 27 draws for each value, 3.7%: more than 2.5%.
    bootstrap = Bootstrap(["a", "b", "c"], seed=0)
    assert bootstrap.of_mean(doubles(0, 1, 5)) == (0, 5)
    assert bootstrap.of_mean(doubles(2, 2, 2)) == (2, 2)


def test_groups_are_drawn_and_not_their_samples() -> None:
    values = doubles(0, 0, 0, 0, 1, 2)
    # A group's samples come together: means of draws are (0 a + 1 b + 2 c) / (4 a + b + c).
    draws = np.random.default_rng(7).integers(3, size=(DRAWS, 3))
    times = np.stack([(draws == group).sum(axis=1) for group in range(3)], axis=1)
    means = (times @ [0, 1, 2]) / (times @ [4, 1, 1])
    expected = tuple(np.percentile(means, [2.5, 97.5]))
    assert Bootstrap([3, 3, 3, 3, 6, 12], seed=7).of_mean(values) == pytest.approx(expected)
    assert Bootstrap(range(6), seed=7).of_mean(values) != pytest.approx(expected)


def test_two_groups_have_no_interval() -> None:
    bootstrap = Bootstrap(["a", "b"] * 50, seed=0)
    features = torch.rand(100, 4)
    assert bootstrap.of_mean(torch.rand(100)) is None
    assert bootstrap.of_areas(torch.ones(100, 3, 2)) == (None, None)
    assert bootstrap.of_distances(features, features) == (None, None)


def test_the_seed_decides_the_draws() -> None:
    values = doubles(*range(9))
    found = [Bootstrap(range(9), seed).of_mean(values) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_a_part_of_the_samples_keeps_its_own_groups() -> None:
    whole = Bootstrap(["a", "a", "b", "c", "c"], seed=0)
    assert whole.only([0, 2, 4]).of_mean(doubles(0, 1, 5)) == (0, 5)
    assert whole.only([0, 1, 2]).of_mean(doubles(0, 1, 5)) is None


def test_a_miou_is_resampled_as_a_ratio_of_sums() -> None:
    # Three images of ten pixels, two classes: all right, half of class 0 taken for 1, all wrong.
    areas = torch.tensor(
        [
            [[5, 5], [5, 5], [5, 5]],
            [[5, 0], [10, 0], [5, 5]],
            [[0, 0], [10, 0], [0, 10]],
        ]
    )
    miou, accuracy = Bootstrap(range(3), seed=0).of_areas(areas)
    # The bounds are the draws of one image alone: IoUs (1, 1) and (0, 0); accuracies 1 and 0.
    assert miou == (0, 1)
    assert accuracy == (0, 1)
    # An image whose labels have no class adds nothing.
    padded = torch.cat([areas, torch.zeros(1, 3, 2, dtype=torch.int64)])
    assert Bootstrap(["a", "b", "c", "c"], seed=0).of_areas(padded) == (miou, accuracy)
    assert Bootstrap(range(3), seed=0).of_areas(torch.zeros(3, 3, 2)) == (None, None)


def test_counts_of_maps_give_the_matrix_and_the_interval_of_the_same_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 3, (6, 4, 4), generator=generator, dtype=torch.uint8)
    label[0, 0] = 255
    prediction = torch.where(torch.rand(label.shape, generator=generator) < 0.6, label, 1)
    prediction = torch.where(prediction == 255, 0, prediction)
    counts, alone = Counts(3, ALONE), []
    for start in (0, 4):
        counts.update_maps(prediction[start : start + 4], label[start : start + 4])
    for picture, truth in zip(prediction, label, strict=True):
        one = Counts(3, ALONE)
        one.update_maps(picture[None], truth[None])
        alone.append(one.matrix.pixel_accuracy)
    _, accuracy = counts.intervals(Bootstrap(range(6), seed=0))
    assert accuracy is not None
    assert min(alone) <= accuracy[0] < counts.matrix.pixel_accuracy < accuracy[1] <= max(alone)


def test_a_distance_s_interval_is_of_the_first_200_draws_of_whole_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(8, 3, generator=generator) + torch.arange(8)[:, None] % 4
    reference = torch.randn(9, 3, generator=generator)
    found = Bootstrap([0, 0, 1, 1, 2, 2, 3, 3], seed=5).of_distances(features, reference)
    draws = np.random.default_rng(5).integers(4, size=(DRAWS, 4))[:200]
    times = [[int((taken == group).sum()) for group in (0, 0, 1, 1, 2, 2, 3, 3)] for taken in draws]
    expected = resampled_distances(features, reference, torch.tensor(times))
    for interval, distances in zip(found, expected, strict=True):
        assert interval == pytest.approx(np.percentile(distances.numpy(), [2.5, 97.5]))


def test_groups_are_read_from_the_samples_places_and_each_other_sample_is_its_own(
    tmp_path: Path,
) -> None:
    places = ['{"group": 3}', '{"key": "x"}', '{"group": 6}', '{"group": 3}', '{"key": "x"}']
    records = [(f"s{i}", {"json": place.encode()}) for i, place in enumerate(places)]
    folder = ShardFolder(shard_folder(records, tmp_path, 2, {}))
    chosen = Chosen(folder, (0, 1, 2, 3, 4))
    assert Bootstrap(chosen.groups(), seed=0).num_groups == 4
    assert Bootstrap(replace(chosen, positions=(0, 3)).groups(), seed=0).num_groups == 1
