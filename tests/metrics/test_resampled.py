from __future__ import annotations

import torch

from semflow.metrics.distribution import frechet_distance, kernel_distance
from semflow.metrics.resampled import resampled_distances

GENERATOR = torch.Generator().manual_seed(0)
FEW, MANY, OTHERS = (torch.randn(count, 6, generator=GENERATOR) + 1 for count in (5, 40, 9))


def test_each_sample_taken_once_gives_the_distances_of_the_set_itself() -> None:
    for x in (FEW, MANY):
        for y in (FEW, OTHERS, MANY[:3]):
            frechet, kernel = resampled_distances(x, y, torch.ones(1, len(x), dtype=torch.int64))
            torch.testing.assert_close(float(frechet), frechet_distance(x, y), atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(float(kernel), kernel_distance(x, y))


def test_a_sample_taken_twice_counts_twice_in_the_frechet_distance() -> None:
    times = torch.tensor([[2, 0, 1, 3, 1]])
    repeated = FEW.repeat_interleave(times[0], dim=0)
    frechet, _ = resampled_distances(FEW, OTHERS, times)
    expected = frechet_distance(repeated, OTHERS)
    torch.testing.assert_close(float(frechet), expected, atol=1e-5, rtol=1e-5)


def test_a_sample_is_not_compared_with_its_own_copies_in_the_kernel_distance() -> None:
    times = torch.tensor([[2, 0, 1, 0, 0]])
    _, kernel = resampled_distances(FEW, OTHERS, times)
    a, c = FEW.double()[0], FEW.double()[2]

    def compared(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 6 + 1) ** 3)

    # Of three rows a, a, c the pairs of different samples are (a, c) twice, both ways: all equal.
    cross = sum(2 * compared(a, y) + compared(c, y) for y in OTHERS.double()) / (3 * len(OTHERS))
    within = [compared(x, y) for i, x in enumerate(OTHERS.double()) for y in OTHERS.double()[:i]]
    expected = compared(a, c) + sum(within) / len(within) - 2 * cross
    torch.testing.assert_close(float(kernel), expected)


def test_draws_are_worked_out_independently_of_each_other() -> None:
    times = torch.randint(0, 3, (4, len(MANY)), generator=GENERATOR)
    together = resampled_distances(MANY, OTHERS, times)
    for number in range(4):
        alone = resampled_distances(MANY, OTHERS, times[number : number + 1])
        for many, one in zip(together, alone, strict=True):
            torch.testing.assert_close(many[number], one[0])
