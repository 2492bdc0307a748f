from __future__ import annotations

import numpy as np

from semflow.core.pictures import color_table, picture_grid


def test_pictures_stand_side_by_side_with_white_gutters() -> None:
    red, blue = (np.full((2, 3, 3), color, np.uint8) for color in ((200, 0, 0), (0, 0, 200)))
    grid = picture_grid([[red, blue], [blue]])
    assert grid.shape == (2 * 2 + 2, 2 * 3 + 2, 3)
    assert np.array_equal(grid[:2, :3], red)
    assert np.array_equal(grid[:2, 5:], blue)
    assert np.array_equal(grid[4:, :3], blue)
    assert (grid[2:4] == 255).all()
    assert (grid[:, 3:5] == 255).all()
    assert (grid[4:, 5:] == 255).all()
    assert grid.dtype == np.uint8


def test_every_id_has_a_colour_and_ignored_pixels_have_that_of_no_class() -> None:
    table = color_table([(1, 2, 3), (250.6, 0, 0)], (9, 8, 7))
    assert table.shape == (256, 3)
    assert table[[0, 1, 255]].tolist() == [[1, 2, 3], [251, 0, 0], [9, 8, 7]]
