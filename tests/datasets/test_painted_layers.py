"""Composition by hand-worked numbers: coverage, order, scale, shift, and what touches the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.robot_layers import save

from semflow.datasets.base import UnreadableSample
from semflow.datasets.layers import Layer, Window, paint, read_backdrop, read_layer

Pixels = NDArray[np.uint8]
AS_IT_IS = Window(size=4, scale=1.0, across=0.0, down=0.0)


def layer_of(tmp_path: Path, pixels: Pixels) -> Layer:
    save(pixels, tmp_path / "layer.png")
    return read_layer(tmp_path / "layer.png")


def canvas(size: int, grey: int = 0) -> tuple[Pixels, Pixels]:
    return np.full((size, size, 3), grey, np.uint8), np.zeros((size, size), np.uint8)


@pytest.mark.parametrize(("coverage", "class_id"), [(0, 0), (127, 0), (128, 7), (255, 7)])
def test_a_layers_class_is_where_it_covers_more_than_half(
    tmp_path: Path, coverage: int, class_id: int
) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[1, 2] = 200, 100, 0, coverage
    image, label = canvas(4, grey=50)
    paint(image, label, layer_of(tmp_path, pixels), AS_IT_IS, 7)
    assert label[1, 2] == class_id
    assert label.sum() == class_id
    share = coverage / 255
    mixed = np.array([200, 100, 0]) * share + 50 * (1 - share)
    assert np.abs(image[1, 2] - mixed).max() <= 1
    image[1, 2] = 50
    assert (image == 50).all()


def test_a_later_layer_is_on_top_and_a_thin_one_lets_the_class_below_through(
    tmp_path: Path,
) -> None:
    image, label = canvas(4)
    for class_id, coverage, columns in ((1, 255, 3), (2, 255, 2), (3, 100, 1)):
        pixels = np.zeros((4, 4, 4), np.uint8)
        pixels[:, :columns] = 80 * class_id, 0, 0, coverage
        paint(image, label, layer_of(tmp_path, pixels), AS_IT_IS, class_id)
    assert label.tolist() == [[2, 2, 1, 0]] * 4
    # 240 * 100 / 255 over 160 * 155 / 255.
    assert abs(int(image[0, 0, 0]) - 191) <= 1
    assert image[0, 1:, 0].tolist() == [160, 80, 0]


def test_scale_and_shift_move_image_and_label_alike(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[2:, 1:3] = 255
    layer = layer_of(tmp_path, pixels)
    # Half as large, above the lower edge: rows 3 and columns 1.5 .. 2.5 of 4, then 0.125 * 4 right.
    image, label = canvas(4)
    paint(image, label, layer, Window(size=4, scale=0.5, across=0.125, down=0.0), 1)
    assert np.argwhere(label).tolist() == [[3, 2]]
    # Eight pixels for four: everything doubles; then two pixels lower and one to the left.
    image, label = canvas(8)
    paint(image, label, layer, Window(size=8, scale=1.0, across=-0.125, down=0.25), 1)
    assert np.argwhere(label)[[0, -1]].tolist() == [[6, 1], [7, 4]]
    assert ((image[..., 0] > 127) == (label == 1)).all()


def test_what_touches_the_frame_goes_on_beyond_it_and_nothing_else_does(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[4:, 5:] = 255
    image, label = canvas(8)
    # A frame of half the side leaves two pixels to its right.
    paint(image, label, layer_of(tmp_path, pixels), Window(size=8, scale=0.5, across=0, down=0), 1)
    assert label[6:, 5:].all()
    assert label.sum() == label[6:, 4:].sum()
    assert not label[:, :4].any()


def test_outside_of_the_image_nothing_is_painted(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[1:3, 1:3] = 255
    image, label = canvas(8)
    layer = layer_of(tmp_path, pixels)
    paint(image, label, layer, Window(size=8, scale=3.0, across=0.0, down=0.0), 1)
    assert not label.any()
    assert not image.any()
    empty = layer_of(tmp_path, np.zeros((8, 8, 4), np.uint8))
    paint(image, label, empty, Window(size=8, scale=1.0, across=0.1, down=0.1), 1)
    assert not label.any()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(4, 40),
    st.floats(0.7, 1.4),
    st.floats(-0.2, 0.2),
    st.floats(0, 0.2),
)
def test_a_layer_cut_to_its_content_is_resampled_as_the_whole_one(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    size: int,
    scale: float,
    across: float,
    down: float,
) -> None:
    draws = np.random.default_rng(seed)
    pixels = np.zeros((24, 24, 4), np.uint8)
    (left, right), (top, bottom) = (np.sort(draws.integers(0, 25, 2)) for _ in range(2))
    content = draws.integers(0, 256, (bottom - top, right - left, 4))
    pixels[top:bottom, left:right] = content
    window = Window(size, scale, across, down)
    image, label = canvas(size)
    paint(image, label, layer_of(tmp_path_factory.mktemp("layer"), pixels), window, 1)
    # The whole frame, so far continued that the image's window lies in it.
    margin = 60
    whole = np.pad(
        np.asarray(Image.fromarray(pixels).convert("RGBa")),
        [(margin,) * 2] * 2 + [(0, 0)],
        mode="edge",
    )
    step = 24 / (scale * size)
    x = margin + 12 - (0.5 + across) * size * step
    y = margin + 24 - (1 + down) * size * step
    picture = Image.frombytes("RGBa", whole.shape[:2], whole.tobytes())
    box = (x, y, x + size * step, y + size * step)
    expected = np.asarray(picture.resize((size, size), Image.Resampling.HAMMING, box))
    assert np.abs(image.astype(int) - expected[..., :3]).max() <= 1
    unsure = np.abs(expected[..., 3].astype(int) - 127.5) < 2
    assert ((label == 1) == (expected[..., 3] > 127))[~unsure].all()


def test_a_file_is_decoded_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save(np.full((4, 4, 4), 255, np.uint8), path)
    assert read_layer(path) is read_layer(path)
    assert read_backdrop(path, 2) is read_backdrop(path, 2)
    assert not read_backdrop(path, 2).flags.writeable
    save(np.zeros((6, 6, 4), np.uint8), path)
    assert read_layer(path).side == 6


def test_a_layer_that_is_not_square_or_no_image_is_named(tmp_path: Path) -> None:
    save(np.zeros((4, 6, 4), np.uint8), tmp_path / "wide.png")
    with pytest.raises(UnreadableSample, match=r"wide\.png is 6x4, a layer is square"):
        read_layer(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("text", encoding="utf-8")
    for read in (read_layer, lambda path: read_backdrop(path, 4)):
        with pytest.raises(UnreadableSample, match=r"text\.png is unreadable"):
            read(tmp_path / "text.png")
        with pytest.raises(UnreadableSample, match=r"none\.png is missing"):
            read(tmp_path / "none.png")
