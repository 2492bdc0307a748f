from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from semflow.core.errors import UserError
from semflow.evaluation.score_files import (
    LabelIds,
    Matches,
    key_of,
    match_labels,
    match_samples,
    size_of,
    to_resolution,
)

FRAME = "aachen_000000_000019"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and truth, both empty."""
    found = (tmp_path / "predictions", tmp_path / "truth")
    for folder in found:
        folder.mkdir()
    return found


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(matches: Matches) -> dict[str, tuple[str, str]]:
    return {key: (a.name, b.name) for key, (a, b) in matches.pairs.items()}


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("000000000139", "000000000139"),
        ("tile_3_7", "tile_3_7"),
        (FRAME, FRAME),
        (f"{FRAME}_gtFine_labelIds", FRAME),
        (f"{FRAME}_leftImg8bit", FRAME),
        (f"{FRAME}.color", FRAME),
        (f"{FRAME}5", f"{FRAME}5"),
    ],
)
def test_a_key_is_the_stem_or_its_cityscapes_frame(stem: str, key: str) -> None:
    assert key_of(stem) == key


@given(
    st.integers(0, 999_999), st.integers(0, 999_999), st.sampled_from(["", "_x", "_leftImg8bit"])
)
def test_every_file_of_a_frame_has_the_frame_s_key(number: int, frame: int, ending: str) -> None:
    name = f"bad-honnef_{number:06d}_{frame:06d}"
    assert key_of(name + ending) == name


def test_labels_are_paired_by_stem_and_the_rest_is_unused(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    touch(predictions, "b.png", "deep/a.png", "c.png", "a.color.png", "notes.txt")
    touch(truth, "a.png", "b.png", "b.color.png", "b.jpg")
    matches = match_labels(predictions, truth, "train", "train")
    assert names(matches) == {"a": ("a.png", "a.png"), "b": ("b.png", "b.png")}
    assert [path.name for path in matches.unused] == ["c.png"]


@pytest.mark.parametrize(
    "prediction", [f"{FRAME}.png", f"{FRAME}_leftImg8bit.png", f"aachen/{FRAME}_pred.png"]
)
@pytest.mark.parametrize(("ids", "kind"), [("cityscapes", "labelIds"), ("train", "labelTrainIds")])
def test_cityscapes_own_files_are_paired_by_frame(
    folders: tuple[Path, Path], prediction: str, ids: LabelIds, kind: str
) -> None:
    predictions, truth = folders
    touch(predictions, prediction)
    kinds = ("color", "instanceIds", "labelIds", "labelTrainIds")
    touch(truth, *(f"val/aachen/{FRAME}_gtFine_{each}.png" for each in kinds))
    touch(truth, f"val/aachen/{FRAME}_gtFine_polygons.json")
    matches = match_labels(predictions, truth, "train", ids)
    assert names(matches) == {FRAME: (Path(prediction).name, f"{FRAME}_gtFine_{kind}.png")}


def refusal(predictions: Path, truth: Path, ids: LabelIds = "train") -> str:
    with pytest.raises(UserError) as caught:
        match_labels(predictions, truth, ids, ids)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_truth_without_prediction_is_named_and_the_others_are_counted(
    folders: tuple[Path, Path],
) -> None:
    predictions, truth = folders
    touch(predictions, "a.png")
    touch(truth, "a.png", "b.png", "c.png", "d.png")
    message = refusal(predictions, truth)
    assert f"no prediction of {truth / 'b.png'} (and of 2 more)" in message
    assert "b.png" in message.split(";")[1]


def test_two_predictions_of_one_truth_are_refused(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    touch(truth, f"{FRAME}_gtFine_labelTrainIds.png")
    touch(predictions, f"one/{FRAME}.png", f"two/{FRAME}_leftImg8bit.png")
    message = refusal(predictions, truth)
    assert "one/" in message
    assert "two/" in message


def test_a_folder_without_files_of_the_ids_is_refused(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    assert f"{truth} holds no .png file" in refusal(predictions, truth)
    touch(truth, f"{FRAME}_gtFine_labelIds.png")
    message = refusal(predictions, truth)
    assert "no *_labelTrainIds.png" in message
    assert "train or cityscapes" in message
    assert "is no folder" in refusal(predictions, truth / "nowhere")


def test_samples_are_ordered_by_number_and_not_by_name(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    touch(truth, "a.jpg", "b.png")
    touch(predictions, *(f"a.{k}.png" for k in range(11)), "b.JPG", "z.png")
    matches = match_samples(predictions, truth)
    assert [path.name for path in matches.samples["a"]] == [f"a.{k}.png" for k in range(11)]
    assert [path.name for path in matches.samples["b"]] == ["b.JPG"]
    assert [path.name for path in matches.unused] == ["z.png"]


def test_syntheses_of_a_cityscapes_label_belong_to_the_frame_s_photo(
    folders: tuple[Path, Path],
) -> None:
    predictions, truth = folders
    touch(truth, f"{FRAME}_leftImg8bit.png")
    touch(predictions, *(f"{FRAME}_gtFine_labelTrainIds.{k}.png" for k in (0, 1)))
    assert len(match_samples(predictions, truth).samples[FRAME]) == 2


def test_a_photo_whose_own_name_ends_in_a_number_keeps_it(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    touch(truth, "shot.7.jpg", "shot.8.jpg")
    touch(predictions, "shot.7.png", "shot.8.0.png")
    samples = match_samples(predictions, truth).samples
    assert [paths[0].name for paths in samples.values()] == ["shot.7.png", "shot.8.0.png"]


@pytest.mark.parametrize("second", ["a.0.png", "a.jpg", "deep/a.png"])
def test_the_same_sample_twice_is_refused(folders: tuple[Path, Path], second: str) -> None:
    predictions, truth = folders
    touch(truth, "a.png")
    touch(predictions, "a.png", second)
    with pytest.raises(UserError, match="both sample 0 of a"):
        match_samples(predictions, truth)


def test_a_photo_without_synthesis_is_refused(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    touch(truth, "a.png", "b.png")
    touch(predictions, "a.0.png")
    with pytest.raises(UserError, match=r"has no prediction of .*b\.png"):
        match_samples(predictions, truth)


def test_images_are_resized_as_pillow_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3), np.uint8)
    resized = to_resolution(torch.from_numpy(pixels).permute(0, 3, 1, 2), (6, 7))
    assert resized.shape == (2, 3, 6, 7)
    assert resized.dtype == torch.uint8
    for image, source in zip(resized, pixels, strict=True):
        expected = Image.fromarray(source).resize((7, 6), Image.Resampling.BICUBIC)
        assert np.array_equal(image.permute(1, 2, 0), np.asarray(expected))


def test_reducing_averages_what_it_leaves_out() -> None:
    # Every other column is white: without antialiasing the result would be black or white.
    stripes = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    stripes[..., ::2] = 0
    assert (to_resolution(stripes, (8, 8)).float() - 127.5).abs().max() < 16


def test_images_of_the_resolution_stay_as_they_are() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 6)).byte()
    assert torch.equal(to_resolution(images, (8, 6)), images)


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4).byte(), torch.zeros(1, 4, 4, 3).byte()]
)
def test_what_is_no_batch_of_byte_images_is_not_resized(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(N, 3, H, W\)"):
        to_resolution(images, (2, 2))


def test_a_prediction_that_is_a_pipe_a_folder_or_has_an_endless_chunk_is_one_line(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    buffer = io.BytesIO()
    Image.new("L", (3, 2)).save(buffer, "PNG")
    sound = buffer.getvalue()
    (tmp_path / "sound.png").write_bytes(sound)
    assert size_of(tmp_path / "sound.png") == (2, 3)
    at = sound.index(b"IDAT") - 4
    (tmp_path / "long.png").write_bytes(sound[:at] + b"\xff\xff\xff\xff" + sound[at + 4 :])
    for name in ("pipe", "folder", "long"):
        with pytest.raises(UserError, match=rf"{name}\.png is not a readable image"):
            size_of(tmp_path / f"{name}.png")
