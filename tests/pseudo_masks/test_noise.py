from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semflow.pseudo_masks.noise import Grain, draw_noise, perturb

FINE = Grain(cell=1, share=0.0)
seeds = st.integers(0, 2**62)
grains = st.builds(Grain, st.integers(1, 9), st.floats(0, 1))


@given(seeds, st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True), grains)
def test_the_noise_of_an_item_depends_on_nothing_but_seed_and_item(
    seed: int, items: list[int], grain: Grain
) -> None:
    together = draw_noise(items, (3, 5), seed, grain)
    assert together.shape == (len(items), 3, 3, 5)
    assert together.dtype == torch.float32
    assert float(together.abs().max()) <= 1
    for row, item in zip(together, items, strict=True):
        assert torch.equal(draw_noise([item], (3, 5), seed, grain)[0], row)
    assert len(torch.unique(together.flatten(1), dim=0)) == len(items)
    assert not torch.equal(draw_noise(items, (3, 5), seed + 1, grain), together)


def test_the_papers_noise_is_uniform_and_independent_from_pixel_to_pixel() -> None:
    noise = draw_noise(range(20), (32, 32), 0, FINE)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(1 / 3, abs=0.01)
    neighbours = float((noise[..., 1:] * noise[..., :-1]).mean())
    assert neighbours == pytest.approx(0, abs=0.01)


def test_coarse_noise_is_linear_between_grid_points_and_keeps_them() -> None:
    # A row of 9 pixels with cells of 4 has grid points at its pixels 0, 4 and 8.
    noise = Grain(cell=4, share=1.0).draw(np.random.default_rng(0), (9, 9))
    for middle, one, other in ((1, 0, 4), (3, 0, 4), (6, 4, 8)):
        weight = (middle - one) / (other - one)
        expected = (1 - weight) * noise[:, :, one] + weight * noise[:, :, other]
        np.testing.assert_allclose(noise[:, :, middle], expected, atol=1e-6)
    assert np.abs(noise[:, 0, 0] - noise[:, 0, 8]).min() > 0


def test_shares_are_those_of_the_same_draws() -> None:
    fine, coarse, mixed = (
        Grain(cell=4, share=share).draw(np.random.default_rng(1), (16, 16))
        for share in (0.0, 1.0, 0.25)
    )
    np.testing.assert_allclose(mixed, 0.75 * fine + 0.25 * coarse, atol=1e-6)


def test_the_amplitude_is_in_grey_levels_and_nothing_is_clamped() -> None:
    white = torch.ones(1, 3, 2, 2)
    noise = torch.tensor([1.0, -1.0, 0.5, 0.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    moved = (perturb(white, noise, 25.5) + 1) * 127.5
    expected = torch.tensor([280.5, 229.5, 267.75, 255.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(moved, expected)
