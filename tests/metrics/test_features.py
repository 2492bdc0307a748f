from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semflow.metrics.features import CHUNK, distances_to_truth, in_chunks


def test_images_pass_a_few_at_a_time_and_stay_in_order() -> None:
    passed = []

    def network(images: Tensor) -> Tensor:
        passed.append(len(images))
        return images.flatten(1) * 2

    images = torch.arange(2.0 * CHUNK + 3).view(-1, 1, 1, 1)
    assert torch.equal(in_chunks(network, images), images.flatten(1) * 2)
    assert passed == [CHUNK, CHUNK, 3]


class FirstPixel:
    """A distance that can be worked by hand, and counts the images that it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def features(self, images: Tensor) -> list[Tensor]:
        self.seen += len(images)
        return [images[:, 0, 0, 0]]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).abs()


@pytest.mark.parametrize("count", [1, CHUNK, CHUNK + 5])
def test_each_set_is_compared_with_the_truth_image_by_image(count: int) -> None:
    truth = torch.rand(count, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    made = {1: truth + 0.25, 5: truth.flip(0)}
    perceptual = FirstPixel()
    found = distances_to_truth(perceptual, made, truth)
    first = truth[:, 0, 0, 0]
    torch.testing.assert_close(found[1], torch.full((count,), 0.25))
    torch.testing.assert_close(found[5], (first.flip(0) - first).abs())
    assert perceptual.seen == 3 * count
