from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import map_ids, read_image, read_label

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)


def test_images_are_rgb_and_labels_the_stored_ids(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "grey.png")
    with_colours = Image.fromarray(PIXELS[:, :, 1], mode="P")
    with_colours.putpalette(list(range(256)) * 3)
    with_colours.save(tmp_path / "indexed.png")
    assert np.array_equal(read_image(tmp_path / "image.png"), PIXELS)
    assert read_image(tmp_path / "grey.png").shape == (40, 30, 3)
    assert np.array_equal(read_label(tmp_path / "grey.png"), PIXELS[:, :, 0])
    assert np.array_equal(read_label(tmp_path / "indexed.png"), PIXELS[:, :, 1])


@pytest.mark.parametrize("form", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.9])
def test_a_file_cut_short_anywhere_is_named_with_a_reason(
    tmp_path: Path, form: str, keep: float
) -> None:
    path = tmp_path / f"image.{form}"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UnreadableSample, match=rf"image\.{form} is unreadable \(.+\)"):
        read_image(path)


def test_a_missing_file_and_a_coloured_label_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSample, match=r"label\.png is missing"):
        read_label(tmp_path / "label.png")
    Image.fromarray(PIXELS).save(tmp_path / "label.png")
    with pytest.raises(UnreadableSample, match=r"label\.png has mode RGB"):
        read_label(tmp_path / "label.png")


def test_ids_are_mapped_and_unknown_ones_named() -> None:
    label = np.array([[7, 8], [255, 7]], np.uint8)
    assert map_ids(label, {7: 0, 8: 3, 255: 255}).tolist() == [[0, 3], [255, 0]]
    with pytest.raises(UnreadableSample, match="label id 8 is outside the mapping"):
        map_ids(label, {7: 0, 255: 255})
