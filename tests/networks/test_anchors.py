from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_data import spread_palette

from semflow.networks.anchors import anchor_distances, nearest_anchor, unit_range_anchors
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
