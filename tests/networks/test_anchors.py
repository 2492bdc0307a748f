from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_data import spread_palette
from torch import Tensor

from semflow.networks.anchors import (
    CELLS,
    HIGH,
    LOW,
    anchor_distances,
    nearest_anchor,
    unit_range_anchors,
)
from semflow.networks.encoding import to_unit_range
from semflow.pseudo_masks.palette import Palette, make_palette

MANY = make_palette(spread_palette(), 255)


def test_anchors_are_brought_to_the_autoencoders_range() -> None:
    anchors = unit_range_anchors(np.array([[0, 127.5, 255], [51, 204, 0]], np.float32))
    assert anchors.dtype == torch.float32
    torch.testing.assert_close(anchors, torch.tensor([[-1, 0, 1], [-0.6, 0.6, -1]]))


@given(st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_the_nearest_anchor_undoes_colouring(classes: int, seed: int) -> None:
    palette = Palette(MANY.anchors[:classes], MANY.ignore_color)
    label = np.random.default_rng(seed).integers(0, classes, (2, 5, 7)).astype(np.uint8)
    colored = palette.colorize(label)
    assert colored.shape == (2, 5, 7, 3)
    image = to_unit_range(torch.from_numpy(colored))
    found = nearest_anchor(image, unit_range_anchors(palette.anchors))
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), label)


@given(st.integers(0, 2**31), st.integers(1, 20))
def test_anchor_distances_equal_the_direct_difference(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, 4, 5, generator=generator) * 4 - 2
    anchors = torch.rand(classes, 3, generator=generator) * 2 - 1
    direct = (image[:, None] - anchors[None, :, :, None, None]).square().sum(dim=2)
    torch.testing.assert_close(anchor_distances(image, anchors), direct, atol=1e-5, rtol=1e-4)


def by_every_distance(image: Tensor, anchors: Tensor) -> Tensor:
    """The distance matrix in float64, and the first of its smallest entries."""
    difference = image.double()[:, None] - anchors.double()[None, :, :, None, None]
    red, green, blue = difference.square().unbind(dim=2)
    return (red + green + blue).argmin(dim=1).to(torch.uint8)


@given(st.integers(0, 2**31), st.integers(1, 255), st.sampled_from([0.5, 1.0, 3.0]))
@settings(deadline=None, max_examples=25)
def test_the_grid_finds_exactly_what_every_distance_finds(
    seed: int, classes: int, reach: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = (torch.rand(2, 3, 9, 11, generator=generator) * 2 - 1) * reach
    anchors = torch.rand(classes, 3, generator=generator) * 2 - 1
    # Two that are the same: the first one counts.
    anchors[-1] = anchors[0]
    assert torch.equal(nearest_anchor(image, anchors), by_every_distance(image, anchors))


def test_ties_borders_of_cells_and_what_is_no_number_go_to_the_first_anchor() -> None:
    # The palette of a lattice: its own middles are as far from eight anchors, bit for bit.
    steps = torch.tensor([-0.75, -0.25, 0.25, 0.75])
    anchors = torch.cartesian_prod(steps, steps, steps)
    middles = torch.tensor([-0.5, 0.0, 0.5])
    borders = LOW + (HIGH - LOW) / CELLS * torch.arange(CELLS + 1)
    beyond = torch.tensor([-9.0, 1.3, float("inf"), float("nan")])
    values = torch.cat([middles, borders, borders.nextafter(beyond[1]), beyond])
    image = torch.cartesian_prod(values, values, middles).T.reshape(1, 3, len(values), -1)
    found = nearest_anchor(image, anchors)
    assert torch.equal(found, by_every_distance(image, anchors))
    assert int(found[0, 0, 0]) == 0
