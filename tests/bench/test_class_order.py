from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.tiny import TinyDataset

from bench.class_order import best_order, main, miou_of, posteriors, scheme_anchors

GREYS = np.array([[0, 0, 0], [255, 255, 255], [127, 127, 127]], np.float32)


def test_doubt_between_two_classes_is_read_as_the_third_whose_colour_lies_between() -> None:
    # 60% white and 40% black make 153, nearest to 127. With classes 1 and 2 exchanged, 60% grey
    # and 40% black make 76, which is nearest to grey.
    posterior = torch.tensor([[0.4, 0.6, 0.0]] * 6 + [[1.0, 0, 0]] * 2 + [[0, 0, 1.0]] * 2)
    label = torch.tensor([1] * 6 + [0] * 2 + [2] * 2, dtype=torch.uint8)
    assert miou_of(posterior, label, GREYS) == pytest.approx((1 + 0 + 2 / 8) / 3)
    score, order = best_order(posterior, label, GREYS, starts=2)
    assert score == 1
    assert miou_of(posterior, label, GREYS[order]) == 1


def test_posteriors_are_probabilities_of_every_pixel_of_some_tiles(dataset: TinyDataset) -> None:
    posterior, label = posteriors(dataset.shards, tiles=3)
    assert posterior.shape == (3 * 16 * 16, 4)
    assert label.shape == (3 * 16 * 16,)
    assert torch.allclose(posterior.sum(dim=1), torch.ones(len(posterior)))
    # The tiny data set's classes have hues of their own, so that doubt is rare.
    known = label < 4
    assert (posterior[known].argmax(dim=1) == label[known]).float().mean() > 0.8


@pytest.mark.parametrize("scheme", ["spread", "base_k"])
@pytest.mark.usefixtures("workspace")
def test_the_program_prints_an_order_that_is_no_worse(
    dataset: TinyDataset, lines_of: Callable[..., list[str]], scheme: str
) -> None:
    first, last = lines_of(main, dataset.shards, scheme)
    identity = float(first.removeprefix(f"{scheme}: identity "))
    best, _, order = last.removeprefix(f"{scheme}: best ").partition(" with class_order: ")
    assert float(best) >= identity
    assert sorted(map(int, order.strip("[]").split(", "))) == [0, 1, 2, 3]


def test_a_scheme_has_the_papers_numbers() -> None:
    assert scheme_anchors("base_k", 7)[6].tolist() == [0, 50, 0]
