from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.tiny_data import SHAPE, RandomReader, index_of, pixels_of

from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.resizing import Window, random_window, resize, whole, windows
from semflow.shards.schema import CropParams, ShardParams
from semflow.shards.tar import png_pixels

SIDE = st.integers(1, 40)


def shape(size: tuple[int, int], crops: CropParams | None = None) -> ShardParams:
    return SHAPE.model_copy(update={"image_size": size, "crops": crops})


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_label_is_resized_by_its_nearest_pixel_and_gains_no_id(
    seed: int, raw: tuple[int, int], size: tuple[int, int]
) -> None:
    draws = np.random.default_rng(seed)
    label = draws.choice([0, 3, 17, 255], raw).astype(np.uint8)
    image = draws.integers(0, 256, (*raw, 3)).astype(np.uint8)
    small_image, small_label = resize(image, label, whole(raw), shape(size))
    assert small_image.shape == (*size, 3)
    # Each new pixel's centre falls into one raw pixel, or on the border between two.
    allowed = [
        label[np.ix_(rows, columns)]
        for rows in _pixels_under_centres(raw[0], size[0])
        for columns in _pixels_under_centres(raw[1], size[1])
    ]
    assert np.any([small_label == choice for choice in allowed], axis=0).all()


def _pixels_under_centres(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    numerator, denominator = (np.arange(new) * 2 + 1) * old, 2 * new
    return -(-numerator // denominator) - 1, numerator // denominator


def test_what_has_its_size_already_is_left_alone() -> None:
    draws = np.random.default_rng(0)
    image = draws.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    label = draws.integers(0, 9, (6, 8)).astype(np.uint8)
    same_image, same_label = resize(image[:, ::-1], label[:, ::-1], whole((6, 8)), shape((6, 8)))
    assert np.array_equal(same_image, image[:, ::-1])
    assert np.array_equal(same_label, label[:, ::-1])


def test_an_image_keeps_its_mean_where_it_is_made_smaller() -> None:
    ramp = np.linspace(20, 220, 64).astype(np.uint8)
    image = np.repeat(np.repeat(ramp[None, :, None], 64, axis=0), 3, axis=2)
    small, _ = resize(image, np.zeros((64, 64), np.uint8), whole((64, 64)), shape((8, 16)))
    assert small.shape == (8, 16, 3)
    assert abs(small.mean() - image.mean()) < 1
    assert (np.diff(small[0, :, 0].astype(int)) > 0).all()


@given(st.integers(0, 99), st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE))
def test_a_random_window_lies_inside_and_touches_two_opposite_borders(
    seed: int, raw: tuple[int, int], size: tuple[int, int]
) -> None:
    window = random_window(raw, size, np.random.default_rng(seed))
    height, width = window.bottom - window.top, window.right - window.left
    assert 0 <= window.left < window.right <= raw[1]
    assert 0 <= window.top < window.bottom <= raw[0]
    assert height == raw[0] or width == raw[1]


def test_the_window_of_a_square_size_is_a_square_of_the_full_short_side() -> None:
    tops = set()
    for seed in range(40):
        window = random_window((9, 6), (512, 512), np.random.default_rng(seed))
        assert (window.left, window.right, window.bottom - window.top) == (0, 6, 6)
        tops.add(window.top)
    assert tops == {0, 1, 2, 3}


def test_crops_follow_from_seed_key_and_number_alone() -> None:
    def of(key: str, seed: int, count: int) -> tuple[Window, ...]:
        return windows(key, (300, 900), shape((4, 4), CropParams(per_image=count, seed=seed)))

    assert of("a", 1, 3) == of("a", 1, 5)[:3]
    assert len(set(of("a", 1, 9))) > 5
    assert of("a", 1, 3) != of("b", 1, 3)
    assert of("a", 1, 3) != of("a", 2, 3)


def test_image_and_label_of_different_sizes_are_cut_at_the_same_place() -> None:
    label = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6)
    image = np.repeat(label.repeat(2, axis=0).repeat(2, axis=1)[..., None], 3, axis=2)
    small_image, small_label = resize(image, label, Window(1, 3, 5, 7), shape((4, 4)))
    assert np.array_equal(small_label, label[3:7, 1:5])
    # Bicubic reaches a little beyond each pixel; the ramp keeps it near the pixel's own value.
    assert np.abs(small_image[..., 0].astype(int) - small_label).max() <= 2


def packed(tmp_path: Path, crops: CropParams | None) -> Path:
    reader = RandomReader(tmp_path / "raw.txt", {"train": 3, "val": 2}, shape=(24, 20))
    (tmp_path / "raw.txt").touch()
    index = index_of(reader, tmp_path / "index")
    out = tmp_path / "shards"
    pixels_of(index, reader, shape((16, 16), crops), out)
    return out


def test_only_the_train_split_is_cropped_and_a_crop_is_a_sample_of_its_own(tmp_path: Path) -> None:
    out = packed(tmp_path, CropParams(per_image=2, seed=0))
    assert list(read_manifest(out / "train").keys()) == [
        "train_0",
        "train_0-crop1",
        "train_1",
        "train_1-crop1",
        "train_2",
        "train_2-crop1",
    ]
    assert list(read_manifest(out / "val").keys()) == ["val_0", "val_1"]


def test_val_samples_keep_their_label_as_the_data_set_has_it(tmp_path: Path) -> None:
    out = packed(tmp_path, None)
    val = ShardFolder(read_manifest(out / "val"))
    native = png_pixels(val.read(0, "native_label.png"))
    assert native.shape == (24, 20)
    image = np.zeros((24, 20, 3), np.uint8)
    _, label = resize(image, native, whole((24, 20)), shape((16, 16)))
    assert np.array_equal(png_pixels(val.read(0, "label.png")), label)
    assert "native_label.png" not in next(read_manifest(out / "train").shards()).members
