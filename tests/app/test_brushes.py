from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from semflow.app.brushes import (
    CANVAS_EDGE,
    brush_colors,
    canvas_of,
    canvas_scale,
    nearest_ids,
    painted_label,
)
from semflow.core.labels import IGNORE_INDEX

COLORS = [(40, 44, 52), (66, 133, 244), (250, 188, 60), (219, 68, 85)]


def opaque(canvas: np.ndarray) -> np.ndarray:
    """A canvas (H, W, 3) as the editor gives it back, (H, W, 4)."""
    return np.dstack([canvas, np.full(canvas.shape[:2], 255, np.uint8)])


def test_there_is_a_brush_for_each_class_and_one_for_none() -> None:
    assert brush_colors(COLORS[:2]) == ["#282c34", "#4285f4", "#7f7f7f"]


@pytest.mark.parametrize(
    ("size", "expected"), [((64, 64), 7), ((64, 80), 5), ((512, 1024), 1), ((1, 1), CANVAS_EDGE)]
)
def test_a_canvas_is_as_many_times_the_label_as_fits(size: tuple[int, int], expected: int) -> None:
    assert canvas_scale(size) == expected


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_a_canvas_that_nobody_touched_is_the_label_it_was_made_from(
    seed: int, height: int, width: int
) -> None:
    ids = np.array([0, 1, 2, 3, IGNORE_INDEX], np.uint8)
    label = np.random.default_rng(seed).choice(ids, (height, width))
    canvas = opaque(canvas_of(label, COLORS))
    assert np.array_equal(painted_label(canvas, (height, width), COLORS), label)


def test_a_colour_is_the_class_that_is_nearest_in_rgb() -> None:
    pixels = np.array([[[60, 130, 240], [245, 190, 50], [130, 126, 127], [0, 0, 0]]], np.uint8)
    assert nearest_ids(pixels, COLORS).tolist() == [[1, 2, IGNORE_INDEX, 0]]


def test_between_equally_near_classes_the_lower_id_wins() -> None:
    pixels = np.array([[[10, 0, 0]]], np.uint8)
    assert nearest_ids(pixels, [(20, 0, 0), (0, 0, 0)]).tolist() == [[0]]
    # A class that has the very grey of pixels without a class keeps it.
    assert nearest_ids(np.full((1, 1, 3), 127, np.uint8), [(127, 127, 127)]).tolist() == [[0]]


def test_a_strokes_soft_rim_adds_no_third_class() -> None:
    """Halfway between white and black lies the grey that stands for no class."""
    colors = [(0, 0, 0), (255, 255, 255)]
    size, scale = (32, 32), canvas_scale((32, 32))
    side = 32 * scale
    large = Image.new("RGB", (side * 4, side * 4))
    ImageDraw.Draw(large).ellipse((side, side, 3 * side, 3 * side), fill=(255, 255, 255))
    canvas = np.asarray(large.resize((side, side), Image.Resampling.BOX))
    assert IGNORE_INDEX in nearest_ids(canvas, colors)
    label = painted_label(opaque(canvas), size, colors)
    assert np.unique(label).tolist() == [0, 1]
    # A disc with a radius of 8 pixels.
    assert label.sum() == pytest.approx(np.pi * 8**2, rel=0.05)


def test_a_label_pixel_is_the_class_of_most_of_its_canvas_pixels() -> None:
    size = (1, 224)
    assert canvas_scale(size) == 2
    canvas = opaque(canvas_of(np.zeros(size, np.uint8), COLORS))
    canvas[:, :2] = [[[*COLORS[2], 255], [*COLORS[2], 255]], [[*COLORS[2], 255], [*COLORS[1], 255]]]
    canvas[0, 2:4] = [*COLORS[3], 255]
    assert painted_label(canvas, size, COLORS)[0, :3].tolist() == [2, 0, 0]


def test_where_a_canvas_is_transparent_there_is_no_class() -> None:
    canvas = opaque(canvas_of(np.ones((4, 4), np.uint8), COLORS))
    canvas[: len(canvas) // 2, :, 3] = 0
    assert painted_label(canvas, (4, 4), COLORS).tolist() == [[255] * 4] * 2 + [[1] * 4] * 2


def test_a_canvas_of_another_size_is_brought_to_the_labels() -> None:
    label = np.array([[0, 1], [2, 3]], np.uint8)
    canvas = canvas_of(label, COLORS)
    half = opaque(np.asarray(Image.fromarray(canvas).resize((100, 60), Image.Resampling.NEAREST)))
    assert painted_label(half, (2, 2), COLORS).tolist() == label.tolist()
