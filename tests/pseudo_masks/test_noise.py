from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_data import base_k_palette, spread_palette

from semflow.core.errors import UserError
from semflow.networks.anchors import nearest_anchor, unit_range_anchors
from semflow.networks.encoding import to_unit_range
from semflow.pseudo_masks.noise import (
    Noise,
    draw_latent_noise,
    draw_noise,
    largest_amplitude,
    perturb,
)
from semflow.pseudo_masks.palette import Palette, base_k_anchors, make_palette
from semflow.pseudo_masks.schema import BaseKPalette, NoiseParams, SpreadPalette

FINE = Noise(amplitude=6.0)
seeds = st.integers(0, 2**62)
noises = st.builds(
    lambda cell, share: Noise(6.0, (1, cell), (1 - share, share)),
    st.integers(1, 9),
    st.floats(0, 1),
)
palettes = st.one_of(
    st.builds(lambda classes: make_palette(spread_palette(), classes), st.integers(2, 40)),
    st.builds(
        lambda k, spacing, share: make_palette(
            base_k_palette(k, spacing), max(2, int(share * k**3))
        ),
        st.integers(2, 6),
        st.sampled_from([10, 31, 50]),
        st.floats(0, 1),
    ),
)


@given(seeds, st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True), noises)
def test_the_noise_of_an_item_depends_on_nothing_but_seed_and_item(
    seed: int, items: list[int], noise: Noise
) -> None:
    together = draw_noise(items, (3, 5), seed, noise)
    assert together.shape == (len(items), 3, 3, 5)
    assert together.dtype == torch.float32
    assert float(together.abs().max()) <= 1
    for row, item in zip(together, items, strict=True):
        assert torch.equal(draw_noise([item], (3, 5), seed, noise)[0], row)
    assert len(torch.unique(together.flatten(1), dim=0)) == len(items)
    assert not torch.equal(draw_noise(items, (3, 5), seed + 1, noise), together)


def test_the_papers_noise_is_uniform_and_independent_from_pixel_to_pixel() -> None:
    noise = draw_noise(range(20), (32, 32), 0, FINE)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(1 / 3, abs=0.01)
    neighbours = float((noise[..., 1:] * noise[..., :-1]).mean())
    assert neighbours == pytest.approx(0, abs=0.01)


def test_coarse_noise_is_linear_between_grid_points_and_keeps_them() -> None:
    # A row of 9 pixels with cells of 4 has grid points at its pixels 0, 4 and 8.
    noise = Noise(6.0, (4,), (1.0,)).draw(np.random.default_rng(0), (9, 9))
    for middle, one, other in ((1, 0, 4), (3, 0, 4), (6, 4, 8)):
        weight = (middle - one) / (other - one)
        expected = (1 - weight) * noise[:, :, one] + weight * noise[:, :, other]
        np.testing.assert_allclose(noise[:, :, middle], expected, atol=1e-6)
    assert np.abs(noise[:, 0, 0] - noise[:, 0, 8]).min() > 0


def test_shares_are_those_of_the_same_draws() -> None:
    shares = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.25, 0.25))
    fine, coarse, whole, mixed = (
        Noise(6.0, (1, 4, 16), parts).draw(np.random.default_rng(1), (16, 16)) for parts in shares
    )
    np.testing.assert_allclose(mixed, 0.5 * fine + 0.25 * coarse + 0.25 * whole, atol=1e-6)


def test_noise_of_three_grains_is_worked_out_again_from_its_random_numbers() -> None:
    found = Noise(6.0, (1, 4, 8), (0.5, 0.25, 0.25)).draw(np.random.default_rng(2), (9, 9))
    draws = np.random.default_rng(2)
    expected = 0.5 * (2 * draws.random((3, 9, 9), np.float32) - 1)
    for cell in (4, 8):
        points = np.arange(0, 9, cell)
        coarse = 2 * draws.random((3, len(points), len(points)), np.float32) - 1
        rows = np.stack([[np.interp(range(9), points, row) for row in part] for part in coarse])
        columns = np.stack([[np.interp(range(9), points, c) for c in part.T] for part in rows])
        expected = expected + 0.25 * columns.transpose(0, 2, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(seeds, st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True))
def test_the_latent_noise_of_an_item_depends_on_nothing_but_seed_and_item(
    seed: int, items: list[int]
) -> None:
    noise = Noise(6.0, latents=0.5)
    together = draw_latent_noise(items, (4, 2, 3), seed, noise)
    assert together.shape == (len(items), 4, 2, 3)
    assert together.dtype == torch.float32
    for row, item in zip(together, items, strict=True):
        assert torch.equal(draw_latent_noise([item], (4, 2, 3), seed, noise)[0], row)
    assert len(torch.unique(together.flatten(1), dim=0)) == len(items)
    assert not torch.equal(draw_latent_noise(items, (4, 2, 3), seed + 1, noise), together)


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1])
def test_latent_noise_is_another_stream_than_that_of_pixels(seed: int) -> None:
    uniform = np.random.Generator(np.random.Philox(key=np.array([seed, 3], np.uint64)))
    pixels = draw_noise([3], (4, 4), seed, FINE)[0]
    assert np.array_equal(pixels, 2 * uniform.random((3, 4, 4), np.float32) - 1)
    same = np.random.Generator(np.random.Philox(key=np.array([seed, 3], np.uint64)))
    latents = draw_latent_noise([3], (3, 4, 4), seed, Noise(6.0, latents=1.0))[0]
    assert not np.isclose(latents, same.standard_normal((3, 4, 4), np.float32)).any()


def test_latent_noise_is_normal_with_the_deviation_of_its_parameter() -> None:
    noise = draw_latent_noise(range(20), (4, 16, 16), 0, Noise(6.0, latents=0.25))
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(0.25, abs=0.005)
    unit = draw_latent_noise(range(20), (4, 16, 16), 0, Noise(6.0, latents=1.0))
    torch.testing.assert_close(noise, 0.25 * unit)
    # Fourth moment of a normal: three times the squared variance.
    assert float(unit.pow(4).mean()) == pytest.approx(3, abs=0.2)


def test_the_amplitude_is_in_grey_levels_and_nothing_is_clamped() -> None:
    white = torch.ones(1, 3, 2, 2)
    noise = torch.tensor([1.0, -1.0, 0.5, 0.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    moved = (perturb(white, noise, 25.5) + 1) * 127.5
    expected = torch.tensor([280.5, 229.5, 267.75, 255.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2)
    torch.testing.assert_close(moved, expected)


@pytest.mark.parametrize(("k", "spacing"), [(2, 255.0), (3, 100.0), (6, 50.0)])
def test_on_a_whole_lattice_the_largest_amplitude_is_half_the_spacing(
    k: int, spacing: float
) -> None:
    assert largest_amplitude(base_k_anchors(k**3, k, spacing)) == spacing / 2


def test_the_largest_amplitude_of_two_colours_is_that_worked_by_hand() -> None:
    # d = (30, 40, 0): |d|_2^2 / (2 |d|_1) = 2500 / 140.
    pair = np.array([[10, 10, 10], [40, 50, 10]], np.float32)
    assert largest_amplitude(pair) == pytest.approx(2500 / 140)


@given(palettes, st.integers(0, 2**32 - 1), st.booleans())
def test_noise_within_the_amplitude_never_changes_a_class(
    palette: Palette, seed: int, extreme: bool
) -> None:
    draws = np.random.default_rng(seed)
    label = draws.integers(0, palette.num_classes, (1, 8, 8)).astype(np.uint8)
    noise = draws.uniform(-1, 1, (1, 3, 8, 8))
    if extreme:
        noise = np.sign(noise)
    beta = largest_amplitude(palette.anchors) * 0.999
    noisy = perturb(
        to_unit_range(torch.from_numpy(palette.colorize(label))), torch.from_numpy(noise), beta
    )
    found = nearest_anchor(noisy, unit_range_anchors(palette.anchors).double())
    assert np.array_equal(found.numpy(), label)


@given(palettes.filter(lambda palette: palette.num_classes <= 40))
def test_noise_just_beyond_the_largest_amplitude_can_change_a_class(palette: Palette) -> None:
    anchors = palette.anchors.astype(np.float64)
    beta = largest_amplitude(palette.anchors) * 1.001
    steps = np.sign(anchors[None] - anchors[:, None])
    moved = anchors[:, None] + beta * steps  # from each towards each
    distance = np.linalg.norm(moved[:, :, None] - anchors, axis=-1)
    assert (distance.argmin(axis=-1) != np.arange(len(anchors))[:, None]).any()


@pytest.mark.parametrize(
    ("palette", "limit"),
    [
        (base_k_palette(6, 50), 25),
        # From a corner to the middle of a face: (128, 128, 0) or (127, 127, 0).
        (spread_palette(), 127 / 2),
    ],
)
def test_an_amplitude_that_could_change_a_class_is_refused(
    palette: BaseKPalette | SpreadPalette, limit: float
) -> None:
    anchors = make_palette(palette, 9).anchors
    with pytest.raises(UserError) as refusal:
        Noise.checked(
            NoiseParams(amplitude=limit, cells=(1, 4), shares=(0.5, 0.5), latents=0.0), anchors
        )
    assert str(refusal.value) == (
        f"params.yaml: noise.amplitude = {float(limit)} changes classes: "
        f"these anchors allow less than {limit:g} grey levels"
    )
    allowed = NoiseParams(amplitude=limit - 0.01, cells=(1, 4), shares=(0.5, 0.5), latents=0.25)
    assert Noise.checked(allowed, anchors) == Noise(limit - 0.01, (1, 4), (0.5, 0.5), 0.25)


def test_a_single_class_bears_any_noise() -> None:
    anchors = make_palette(spread_palette(), 1).anchors
    assert (
        Noise.checked(
            NoiseParams(amplitude=1e6, cells=(1,), shares=(1.0,), latents=0.0), anchors
        ).amplitude
        == 1e6
    )
