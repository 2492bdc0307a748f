from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.app.inputs import find_examples, read_image, read_label
from semflow.core.errors import UserError
from tools.closure import ROOT


def put(folder: Path, *names: str) -> None:
    """Small grey files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("L", (4, 4)).save(folder / name)


def test_the_examples_of_the_repository_are_found_with_their_labels() -> None:
    found = find_examples(ROOT / "pretrained" / "robots")
    assert [one.name for one in found] == [str(number) for number in range(8)]
    assert all(one.label is not None and one.label.is_file() for one in found)


def test_a_checkpoints_own_examples_go_before_those_beside_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "pipeline"
    put(tmp_path / "pipeline-examples", "b-image.png")
    assert [one.name for one in find_examples(checkpoint)] == ["b"]
    put(checkpoint / "examples", "a-image.png", "c-label.png")
    [found] = find_examples(checkpoint)
    assert (found.name, found.label) == ("a", None)


def test_without_examples_there_are_none_unless_a_folder_was_named(tmp_path: Path) -> None:
    assert find_examples(tmp_path / "pipeline") == []
    with pytest.raises(UserError, match="nowhere holds no example"):
        find_examples(tmp_path / "pipeline", tmp_path / "nowhere")


def test_an_image_of_the_models_size_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", (6, 8)), pixels)


def test_another_image_is_cut_in_the_middle_and_resized(tmp_path: Path) -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    cut = read_image(tmp_path / "wide.png", (16, 16))
    assert cut.shape == (16, 16, 3)
    # The filter reaches a little beyond the rim.
    assert np.abs(cut.astype(int) - 200).max() < 20
    assert (cut[:, 4:-4] == 200).all()


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_a_file_that_is_no_picture_is_one_line(tmp_path: Path, reader: object) -> None:
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    assert callable(reader)
    with pytest.raises(UserError, match=r"^cannot take this file: text\.png is unreadable"):
        reader(tmp_path / "text.png", (4, 4))


def test_a_label_of_another_size_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "l.png")
    with pytest.raises(UserError, match=r"^l\.png is 4x4, this model takes 8x6; resize"):
        read_label(tmp_path / "l.png", (6, 8))
