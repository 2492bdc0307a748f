from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.datasets.base import Sample, UnreadableSample
from semflow.datasets.celebamask_hq import CelebAMaskHQReader
from semflow.datasets.schema import CelebAMaskHQIndex

# github.com/switchablenorms/CelebAMask-HQ, face_parsing/Data_preprocessing: g_mask.py's label_list
# (a part's id is its place counted from 1) and g_color.py's color_list.
# fmt: off
LABEL_LIST = ["skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
              "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"]
COLOR_LIST = [[0, 0, 0], [204, 0, 0], [76, 153, 0], [204, 204, 0], [51, 51, 255], [204, 0, 204],
              [0, 255, 255], [255, 204, 204], [102, 51, 0], [255, 0, 0], [102, 204, 0],
              [255, 255, 0], [0, 0, 153], [0, 0, 204], [255, 51, 153], [0, 204, 204], [0, 51, 0],
              [255, 153, 51], [0, 204, 0]]
# fmt: on
SIDE = 8
Parts = dict[str, NDArray[np.bool_]]


def index(**changes: Any) -> CelebAMaskHQIndex:
    values = {"reader": "celebamask_hq", "split": "official", "val_every": None, "max_rejects": 0}
    return CelebAMaskHQIndex.model_validate(values | changes)


def write_mapping(raw: Path, originals: dict[int, int]) -> None:
    rows = ["idx         orig_idx    orig_file"]
    rows += [f"{k:<11d} {photo:<11d} {photo + 1:06d}.jpg" for k, photo in originals.items()]
    (raw / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A tree whose mapping lists three images, one of each official part."""
    (tmp_path / "CelebA-HQ-img").mkdir()
    (tmp_path / "CelebAMask-HQ-mask-anno").mkdir()
    write_mapping(tmp_path, {0: 119_613, 1: 170_000, 2: 190_000})
    return tmp_path


def write_face(raw: Path, number: int, parts: Parts, form: str = "RGB") -> Sample:
    folder = raw / "CelebAMask-HQ-mask-anno" / str(number // 2000)
    folder.mkdir(exist_ok=True)
    for name, covered in parts.items():
        Image.fromarray(covered).convert(form).save(folder / f"{number:05d}_{name}.png")
    Image.new("RGB", (2 * SIDE, 2 * SIDE), (9, 8, 7)).save(raw / "CelebA-HQ-img" / f"{number}.jpg")
    return Sample(str(number), "train", {})


def random_parts(seed: int, share: float) -> Parts:
    draws = np.random.default_rng(seed)
    names = [name for name in LABEL_LIST if draws.random() < 0.8]
    return {name: draws.random((SIDE, SIDE)) < share for name in names}


def test_names_colours_and_background_are_the_official_ones() -> None:
    classes = CelebAMaskHQReader.classes
    assert list(classes.names) == ["background", *LABEL_LIST]
    assert [list(color) for color in classes.colors] == COLOR_LIST
    assert classes.background == 0


def test_a_flip_swaps_eyes_brows_and_ears_and_nothing_else() -> None:
    names, mirrored = CelebAMaskHQReader.classes.names, CelebAMaskHQReader.classes.mirrored
    swapped = {names[c]: names[mirrored[c]] for c in range(19) if mirrored[c] != c}
    pairs = [("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")]
    assert swapped == {one: other for pair in pairs for one, other in (pair, pair[::-1])}


def test_a_later_part_covers_an_earlier_one(raw: Path) -> None:
    rows = {
        name: np.zeros((SIDE, SIDE), bool) for name in ("skin", "nose", "hair", "neck_l", "neck")
    }
    rows["skin"][1:7] = True
    rows["nose"][3:5, 3:5] = True
    rows["hair"][:, 4:6] = True
    rows["neck_l"][6, :] = True
    rows["neck"][6:, :2] = True
    image, label = CelebAMaskHQReader(raw, index()).read(write_face(raw, 4321, rows))
    assert image.shape == (16, 16, 3)
    assert label.dtype == np.uint8
    assert label.tolist() == [
        [0, 0, 0, 0, 13, 13, 0, 0],
        [1, 1, 1, 1, 13, 13, 1, 1],
        [1, 1, 1, 1, 13, 13, 1, 1],
        [1, 1, 1, 2, 13, 13, 1, 1],
        [1, 1, 1, 2, 13, 13, 1, 1],
        [1, 1, 1, 1, 13, 13, 1, 1],
        [17, 17, 16, 16, 16, 16, 16, 16],
        [17, 17, 0, 0, 13, 13, 0, 0],
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_label_equals_a_loop_over_pixels_and_parts(raw: Path, seed: int) -> None:
    parts = random_parts(seed, share=0.2)
    expected = np.zeros((SIDE, SIDE), np.uint8)
    for y in range(SIDE):
        for x in range(SIDE):
            for number, name in enumerate(LABEL_LIST):
                if name in parts and parts[name][y, x]:
                    expected[y, x] = number + 1
    _, label = CelebAMaskHQReader(raw, index()).read(write_face(raw, 29_999, parts))
    assert np.array_equal(label, expected)


@pytest.mark.parametrize("form", ["L", "P", "1", "RGBA"])
def test_parts_are_read_alike_in_colour_and_in_grey(raw: Path, form: str) -> None:
    parts, reader = random_parts(0, share=0.3), CelebAMaskHQReader(raw, index())
    _, colour = reader.read(write_face(raw, 0, parts))
    _, other = reader.read(write_face(raw, 1, parts, form))
    assert np.array_equal(colour, other)
    assert colour.any()


def test_every_value_of_a_part_above_0_counts(raw: Path) -> None:
    sample = write_face(raw, 0, {"skin": np.ones((1, 3), bool)})
    part = raw / "CelebAMask-HQ-mask-anno/0/00000_skin.png"
    Image.fromarray(np.array([[0, 1, 128]], np.uint8)).save(part)
    Image.new("RGB", (6, 2)).save(raw / "CelebA-HQ-img/0.jpg")
    assert CelebAMaskHQReader(raw, index()).read(sample)[1].tolist() == [[0, 1, 1]]


def test_the_official_split_goes_by_the_photos_number_in_celeba(raw: Path) -> None:
    photos = [0, 162_769, 162_770, 162_771, 162_772, 182_636, 182_637, 182_638, 182_639, 202_598]
    write_mapping(raw, dict(enumerate(photos)))
    samples = list(CelebAMaskHQReader(raw, index()).samples())
    assert [s.key for s in samples if s.split == "train"] == ["0", "1", "2"]
    assert [s.key for s in samples if s.split == "val"] == ["3", "4", "5", "6"]
    assert [s.key for s in samples if s.split == "test"] == ["7", "8", "9"]


def test_the_official_val_part_has_as_many_photos_as_celebas_own(raw: Path) -> None:
    write_mapping(raw, {number: number for number in range(162_000, 183_000)})
    counts = Counter(sample.split for sample in CelebAMaskHQReader(raw, index()).samples())
    # CelebA has 162,770 train and 19,867 val photos, numbered from 1; g_partition.py compares
    # numbers from 0, so that val and test begin one photo later.
    assert counts == {"train": 771, "val": 19_867, "test": 362}


@pytest.mark.parametrize("first", [27_000, 28_000])
def test_the_other_splits_go_by_the_images_own_number(raw: Path, first: int) -> None:
    # In any order of the rows, and whatever the photo.
    numbers = [first, 29_999, 5, first - 1, 0, first + 1]
    write_mapping(raw, {number: 200_000 - number for number in numbers})
    reader = CelebAMaskHQReader(raw, index(split=f"first_{first}", val_every=2))
    samples = list(reader.samples())
    # Of the train images 0, 5 and first - 1 every second is held out.
    assert [s.key for s in samples if s.split == "train"] == ["5"]
    assert [s.key for s in samples if s.split == "val"] == ["0", str(first - 1)]
    assert [s.key for s in samples if s.split == "test"] == [str(first), str(first + 1), "29999"]


def test_a_part_that_no_image_is_in_is_named(raw: Path) -> None:
    write_mapping(raw, {0: 5, 1: 190_000})
    with pytest.raises(UserError, match="lists no image of the val part of split official"):
        list(CelebAMaskHQReader(raw, index()).samples())


@pytest.mark.parametrize("row", ["7 8", "7 eight 000009.jpg", "7 8 000009.jpg more"])
def test_a_mapping_of_another_form_is_named_with_its_line(raw: Path, row: str) -> None:
    with (raw / "CelebA-HQ-to-CelebA-mapping.txt").open("a", encoding="utf-8") as file:
        file.write(f"{row}\n")
    with pytest.raises(UserError, match=rf"line 5: expected idx orig_idx orig_file, got '{row}'"):
        list(CelebAMaskHQReader(raw, index()).samples())


def test_a_face_that_does_not_fit_together_is_named(raw: Path) -> None:
    reader = CelebAMaskHQReader(raw, index())
    with pytest.raises(UnreadableSample, match="CelebAMask-HQ-mask-anno/0 has no part of 00000"):
        reader.read(write_face(raw, 0, {}))
    sample = write_face(raw, 1, {"skin": np.ones((SIDE, SIDE), bool)})
    Image.new("RGB", (20, 16)).save(raw / "CelebA-HQ-img/1.jpg")
    with pytest.raises(
        UnreadableSample, match=r"image \(16, 20\) and label \(8, 8\) differ in form"
    ):
        reader.read(sample)
    parts = {"skin": np.ones((SIDE, SIDE), bool), "nose": np.ones((4, 4), bool)}
    with pytest.raises(UnreadableSample, match=r"00002_nose.png is \(4, 4\), other parts \(8, 8\)"):
        reader.read(write_face(raw, 2, parts))
