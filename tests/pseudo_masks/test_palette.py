from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.tiny_data import GREY, base_k_palette, spread_palette

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.networks.anchors import anchor_distances, nearest_anchor
from semflow.pseudo_masks.noise import perturb
from semflow.pseudo_masks.palette import Palette, base_k_anchors, make_palette, spread_anchors
from semflow.pseudo_masks.noise import largest_amplitude
from semflow.pseudo_masks.schema import BaseKPalette, SpreadPalette

CORNERS = {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)}

palettes = st.one_of(
    st.builds(lambda classes: make_palette(spread_palette(0.0), classes), st.integers(2, 40)),
    st.builds(
        lambda k, spacing, share: make_palette(
            base_k_palette(k, spacing, 0.0), max(2, int(share * k**3))
        ),
        st.integers(2, 6),
        st.sampled_from([10, 31, 50]),
        st.floats(0, 1),
    ),
)


def unit_range(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.mark.parametrize(
    ("class_id", "color"),
    [
        (0, (0, 0, 0)),
        (1, (0, 0, 50)),
        (5, (0, 0, 250)),
        (6, (0, 50, 0)),
        (43, (50, 50, 50)),  # 43 = 1 * 36 + 1 * 6 + 1
        (170, (200, 200, 100)),  # 170 = 4 * 36 + 4 * 6 + 2
        (215, (250, 250, 250)),
    ],
)
def test_equation_7_counts_the_class_in_base_six(
    class_id: int, color: tuple[int, int, int]
) -> None:
    assert tuple(base_k_anchors(216, 6, 50)[class_id]) == color


def test_more_classes_than_k_cubed_are_refused() -> None:
    assert len(base_k_anchors(27, 3, 50)) == 27
    with pytest.raises(ValueError, match="28 classes do not fit k = 3: at most 27"):
        base_k_anchors(28, 3, 50)


def test_a_lattice_that_leaves_the_colour_range_is_refused() -> None:
    assert base_k_anchors(216, 6, 51).max() == 255
    with pytest.raises(ValueError, match="is beyond 255"):
        base_k_anchors(216, 6, 51.5)


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
    noisy = perturb(unit_range(palette.colorize(label)), torch.from_numpy(noise), beta)
    found = nearest_anchor(noisy, palette.anchor_tensor().double())
    assert np.array_equal(found.numpy(), label)


@given(palettes.filter(lambda palette: palette.num_classes <= 40))
def test_noise_just_beyond_the_largest_amplitude_can_change_a_class(palette: Palette) -> None:
    anchors = palette.anchors.astype(np.float64)
    beta = largest_amplitude(palette.anchors) * 1.001
    steps = np.sign(anchors[None] - anchors[:, None])
    moved = anchors[:, None] + beta * steps  # from each towards each
    distance = np.linalg.norm(moved[:, :, None] - anchors, axis=-1)
    assert (distance.argmin(axis=-1) != np.arange(len(anchors))[:, None]).any()


def test_the_first_eight_spread_anchors_are_the_corners_in_opposite_pairs() -> None:
    anchors = spread_anchors(8)
    assert {tuple(anchor) for anchor in anchors.astype(int).tolist()} == CORNERS
    assert (anchors[::2] + anchors[1::2] == 255).all()


def test_fewer_spread_anchors_are_the_first_of_more() -> None:
    assert np.array_equal(spread_anchors(171)[:5], spread_anchors(5))


def test_spread_anchors_are_distinct_up_to_171_classes() -> None:
    assert len(np.unique(spread_anchors(171), axis=0)) == 171


def test_each_further_spread_anchor_is_a_farthest_point_of_the_cubes_surface() -> None:
    levels = np.linspace(0, 255, 9)
    surface = np.array(
        [p for p in itertools.product(levels, repeat=3) if not {0, 255}.isdisjoint(p)]
    )
    anchors = spread_anchors(60).astype(np.float64)
    assert np.any((anchors == 0) | (anchors == 255), axis=1).all()
    for count in range(8, 60):
        reachable = np.linalg.norm(surface[:, None] - anchors[:count], axis=-1).min(axis=1).max()
        reached = np.linalg.norm(anchors[count] - anchors[:count], axis=-1).min()
        # Anchors are rounded to whole grey levels, by at most half a level each way.
        assert reached >= reachable - np.sqrt(3)


def test_more_classes_than_the_surface_has_points_are_refused() -> None:
    # A cube of 9 points a side, less its inside of 7 a side.
    assert len(np.unique(spread_anchors(9**3 - 7**3), axis=0)) == 386
    with pytest.raises(UserError, match="387 classes do not fit the spread palette: 386 do"):
        make_palette(spread_palette(0.0), 387)


def test_class_c_takes_the_colour_of_number_order_c() -> None:
    plain = make_palette(spread_palette(0.0), 4).anchors
    ordered = make_palette(spread_palette(0.0, [2, 0, 3, 1]), 4).anchors
    assert np.array_equal(ordered, plain[[2, 0, 3, 1]])
    assert largest_amplitude(ordered) == largest_amplitude(plain)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4], [0, 1, 2, 3, 4]])
def test_an_order_that_is_no_permutation_of_the_classes_is_refused(order: list[int]) -> None:
    with pytest.raises(UserError, match=r"class_order is no permutation of 0\.\.3"):
        make_palette(spread_palette(0.0, order), 4)


@pytest.mark.parametrize(
    ("palette", "limit"),
    [
        (base_k_palette(6, 50, amplitude=25.0), 25),
        # From a corner to the middle of a face: (128, 128, 0) or (127, 127, 0).
        (spread_palette(amplitude=64.0), 127 / 2),
    ],
)
def test_an_amplitude_that_could_change_a_class_is_refused(
    palette: BaseKPalette | SpreadPalette, limit: float
) -> None:
    with pytest.raises(UserError, match=r"amplitude = .* changes classes") as refusal:
        make_palette(palette, 9)
    allowed = float(str(refusal.value).split("less than ")[1].split()[0])
    assert allowed == pytest.approx(limit)
    make_palette(palette.model_copy(update={"amplitude": allowed - 0.01}), 9)


def test_an_unknown_id_is_refused_and_255_takes_the_ignore_colour() -> None:
    palette = make_palette(spread_palette(0.0), 4)
    assert palette.colorize(np.array([[IGNORE_INDEX]], np.uint8)).tolist() == [[[*GREY]]]
    with pytest.raises(ValueError, match=r"label id 4 is outside 0\.\.3 and 255"):
        palette.colorize(np.array([[0, 4]], np.uint8))


@given(palettes, st.integers(0, 2**32 - 1))
def test_the_nearest_anchor_undoes_colouring(palette: Palette, seed: int) -> None:
    label = np.random.default_rng(seed).integers(0, palette.num_classes, (2, 5, 7))
    colored = palette.colorize(label.astype(np.uint8))
    assert colored.shape == (2, 5, 7, 3)
    found = nearest_anchor(unit_range(colored), palette.anchor_tensor())
    assert np.array_equal(found.numpy(), label)


@given(st.integers(0, 2**31), st.integers(1, 20))
def test_anchor_distances_equal_the_direct_difference(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, 4, 5, generator=generator) * 4 - 2
    anchors = torch.rand(classes, 3, generator=generator) * 2 - 1
    direct = (image[:, None] - anchors[None, :, :, None, None]).square().sum(dim=2)
    torch.testing.assert_close(anchor_distances(image, anchors), direct, atol=1e-5, rtol=1e-4)


def test_equation_14_adds_noise_in_grey_levels_and_does_not_clamp() -> None:
    white = torch.ones(1, 3, 1, 1)
    noise = torch.tensor([1.0, -1.0, 0.5]).view(1, 3, 1, 1)
    moved = perturb(white, noise, 25.5)
    assert ((moved + 1) * 127.5).flatten().tolist() == pytest.approx([280.5, 229.5, 267.75])
