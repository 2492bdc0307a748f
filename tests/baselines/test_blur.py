from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import random_images

from semflow.baselines.blur import DEVIATIONS, blurred


def test_without_a_deviation_nothing_changes() -> None:
    pixels = torch.from_numpy(random_images(2))
    assert torch.equal(blurred(pixels, 0.0), pixels.float())


def test_a_point_becomes_a_gaussian_by_hand() -> None:
    pixels = torch.zeros(1, 9, 9, 3, dtype=torch.uint8)
    pixels[0, 4, 4, 1] = 200
    found = blurred(pixels, 1.0)
    assert not found[..., [0, 2]].any()
    # Weights exp(-d^2 / 2) for d = -3 .. 3, divided by their sum, in both directions.
    weights = [math.exp(-(d**2) / 2) for d in range(-3, 4)]
    assert float(found[0, 4, 4, 1]) == pytest.approx(200 / sum(weights) ** 2, rel=1e-5)
    expected = 200 * math.exp(-1 / 2) * math.exp(-4 / 2) / sum(weights) ** 2
    assert float(found[0, 5, 2, 1]) == pytest.approx(expected, rel=1e-5)
    assert float(found[0, 0, 4, 1]) == 0  # four pixels away


@given(st.floats(0.1, 6), st.integers(0, 255))
def test_an_even_image_stays_even_to_its_edges(sigma: float, level: int) -> None:
    pixels = torch.full((1, 5, 7, 3), level, dtype=torch.uint8)
    torch.testing.assert_close(blurred(pixels, sigma), pixels.float(), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4.0])
def test_it_is_the_weighted_mean_of_the_window_around_each_pixel(sigma: float) -> None:
    images = random_images(2, seed=4)
    reach = math.ceil(DEVIATIONS * sigma)
    padded = np.pad(images.astype(float), [(0, 0), (reach, reach), (reach, reach), (0, 0)], "edge")
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * sigma**2))
    found = blurred(torch.from_numpy(images), sigma).numpy()
    for y, x in ((0, 0), (3, 15), (8, 8), (15, 2)):
        around = padded[:, y : y + len(offsets), x : x + len(offsets)]
        expected = np.einsum("nyxc,yx->nc", around, window / window.sum())
        np.testing.assert_allclose(found[:, y, x], expected, rtol=1e-4)
