from __future__ import annotations

import itertools

import numpy as np
import pytest
from support.tiny_data import GREY, base_k_palette, spread_palette

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.pseudo_masks.noise import largest_amplitude
from semflow.pseudo_masks.palette import base_k_anchors, make_palette, spread_anchors

CORNERS = {(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)}


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
        make_palette(spread_palette(), 387)


def test_class_c_takes_the_colour_of_number_order_c() -> None:
    plain = make_palette(spread_palette(), 4).anchors
    ordered = make_palette(spread_palette([2, 0, 3, 1]), 4).anchors
    assert np.array_equal(ordered, plain[[2, 0, 3, 1]])
    assert largest_amplitude(ordered) == largest_amplitude(plain)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 2, 2], [1, 2, 3, 4], [0, 1, 2, 3, 4]])
def test_an_order_that_is_no_permutation_of_the_classes_is_refused(order: list[int]) -> None:
    with pytest.raises(UserError, match=r"class_order is no permutation of 0\.\.3"):
        make_palette(spread_palette(order), 4)


def test_anchors_that_are_one_colour_once_rounded_are_refused() -> None:
    with pytest.raises(UserError, match=r"palette\.spacing is so small that classes share a col"):
        make_palette(base_k_palette(6, 0.5), 9)
    assert len(np.unique(make_palette(base_k_palette(6, 1.0), 9).color_table()[:9], axis=0)) == 9


def test_an_unknown_id_is_refused_and_255_takes_the_ignore_colour() -> None:
    palette = make_palette(spread_palette(), 4)
    assert palette.colorize(np.array([[IGNORE_INDEX]], np.uint8)).tolist() == [[[*GREY]]]
    with pytest.raises(ValueError, match=r"label id 4 is outside 0\.\.3 and 255"):
        palette.colorize(np.array([[0, 4]], np.uint8))
