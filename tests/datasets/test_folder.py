from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.datasets.base import Sample, UnreadableSample
from semflow.datasets.folder import FolderReader, class_table
from semflow.datasets.schema import FolderIndex
from semflow.schema import validate_params
from tools.closure import ROOT

BLOCK: dict[str, Any] = {
    "reader": "folder",
    "classes": [
        {"name": "sky", "color": [90, 160, 230], "id": 7},
        {"name": "left wall", "color": [230, 120, 60], "id": 200},
        {"name": "right wall", "color": [120, 60, 230], "id": 3},
    ],
    "mirrored": [["left wall", "right wall"]],
    "ignore_ids": [0, 255],
    "background": "sky",
    "max_rejects": 0,
}
PARAMS = FolderIndex.model_validate(BLOCK)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two train images and a val image with their labels."""
    ids = np.array([[7, 200, 3], [0, 255, 7]], np.uint8)
    for split, name in (("train", "b.JPG"), ("train", "a.png"), ("val", "c.jpeg")):
        for kind in ("images", "labels"):
            (tmp_path / split / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2), (9, 9, 9)).save(tmp_path / split / "images" / name)
        Image.fromarray(ids).save(tmp_path / split / "labels" / f"{Path(name).stem}.png")
    return tmp_path


def test_a_test_folder_is_read_where_there_is_one_and_must_then_be_whole(raw: Path) -> None:
    assert {sample.split for sample in FolderReader(raw, PARAMS).samples()} == {"train", "val"}
    (raw / "test/images").mkdir(parents=True)
    with pytest.raises(UserError, match="test/labels is missing"):
        FolderReader(raw, PARAMS)
    (raw / "test/labels").mkdir()
    for kind in ("images", "labels"):
        Image.new("L", (3, 2), 7).save(raw / "test" / kind / "d.png")
    reader = FolderReader(raw, PARAMS)
    *_, last = reader.samples()
    assert last == Sample("d", "test", {"file": "d.png"})
    assert reader.read(last)[1].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_images_of_all_endings_come_by_name_the_train_split_first(raw: Path) -> None:
    for other in ("notes.txt", "._a.png", "Thumbs.db"):
        (raw / "train/images" / other).write_bytes(b"no image")
    assert list(FolderReader(raw, PARAMS).samples()) == [
        Sample("a", "train", {"file": "a.png"}),
        Sample("b", "train", {"file": "b.JPG"}),
        Sample("c", "val", {"file": "c.jpeg"}),
    ]


def test_ids_become_the_classes_places_and_ignored_ids_255(raw: Path) -> None:
    image, label = FolderReader(raw, PARAMS).read(Sample("b", "train", {"file": "b.JPG"}))
    assert image.shape == (2, 3, 3)
    assert label.tolist() == [[0, 1, 2], [255, 255, 0]]


def test_the_class_table_is_that_of_the_parameters() -> None:
    for background, expected in (("sky", 0), ("right wall", 2), (None, None)):
        params = FolderIndex.model_validate(BLOCK | {"background": background})
        classes = class_table(params)
        assert classes.background == expected
    assert classes.names == ("sky", "left wall", "right wall")
    assert classes.colors == ((90, 160, 230), (230, 120, 60), (120, 60, 230))
    assert classes.mirrored == (0, 2, 1)


def test_two_images_for_one_label_are_refused(raw: Path) -> None:
    Image.new("RGB", (3, 2)).save(raw / "train/images/a.jpg")
    with pytest.raises(UserError, match=r"train/images has a.jpg and a.png, one label's two"):
        list(FolderReader(raw, PARAMS).samples())


def test_one_name_in_both_splits_is_two_samples(raw: Path) -> None:
    (raw / "val/images/c.jpeg").rename(raw / "val/images/a.jpeg")
    keys = [(sample.key, sample.split) for sample in FolderReader(raw, PARAMS).samples()]
    assert keys == [("a", "train"), ("b", "train"), ("a", "val")]


def test_a_file_in_a_folders_place_is_named(raw: Path) -> None:
    shutil.rmtree(raw / "val" / "images")
    (raw / "val" / "images").touch()
    with pytest.raises(UserError, match=r"val/images is no folder; unpack the download again"):
        list(FolderReader(raw, PARAMS).samples())


def test_a_split_without_images_is_named(raw: Path) -> None:
    (raw / "val/images/c.jpeg").unlink()
    with pytest.raises(UserError, match=r"val/images holds no file named \*.png or \*.jpg or"):
        list(FolderReader(raw, PARAMS).samples())


def test_an_id_that_is_neither_a_class_nor_ignored_is_named(raw: Path) -> None:
    Image.new("L", (3, 2), 8).save(raw / "train/labels/a.png")
    with pytest.raises(UnreadableSample, match="label id 8 is outside the mapping"):
        FolderReader(raw, PARAMS).read(Sample("a", "train", {"file": "a.png"}))


def complaint(index: dict[str, Any]) -> str:
    """The error that an index block meets within params.yaml."""
    values = YAML(typ="safe").load(ROOT / "params.yaml")
    values["earth"]["index"] = index
    with pytest.raises(UserError) as refusal:
        validate_params(values, "params.yaml")
    message = str(refusal.value).removeprefix("params.yaml: ")
    assert "\n" not in message
    return message


def with_class(**changes: Any) -> dict[str, Any]:
    """The block whose first class is changed."""
    first, *others = BLOCK["classes"]
    return BLOCK | {"classes": [first | changes, *others]}


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (with_class(name="left wall"), "earth.index: class 'left wall' is there twice"),
        (with_class(id=3), "earth.index: label id 3 is there twice"),
        (with_class(id=255), "earth.index: label id 255 is there twice"),
        (BLOCK | {"ignore_ids": [0, 0]}, "earth.index: label id 0 is there twice"),
        (
            BLOCK | {"mirrored": [["left wall", "right wall"], ["sky", "left wall"]]},
            "earth.index: mirrored class 'left wall' is there twice",
        ),
        (
            BLOCK | {"mirrored": [["sky", "sky"]]},
            "earth.index: mirrored class 'sky' is there twice",
        ),
        (
            BLOCK | {"mirrored": [["sky", "sea"]]},
            "earth.index: no class is named 'sea'; known are sky, left wall, right wall",
        ),
        (
            BLOCK | {"background": "sea"},
            "earth.index: no class is named 'sea'; known are sky, left wall, right wall",
        ),
        (with_class(id=256), "earth.index.classes.0.id = 256: input should be less than"),
        (with_class(id=True), "earth.index.classes.0.id = True: input should be a valid integer"),
        (with_class(name=""), "earth.index.classes.0.name = '': string should have at least 1"),
        (with_class(color=[1, 2]), "missing parameter earth.index.classes.0.color.2; add it"),
        (
            with_class(colour=[1, 2, 3]),
            "unknown parameter earth.index.classes.0.colour; did you mean color?",
        ),
        (BLOCK | {"classes": []}, "earth.index.classes = []: tuple should have at least 1 item"),
        (BLOCK | {"ignore": []}, "unknown parameter earth.index.ignore; did you mean ignore_ids?"),
        (BLOCK | {"reader": "ourth"}, "earth.index = "),
    ],
)
def test_classes_that_contradict_each_other_are_refused_in_one_line(
    index: dict[str, Any], expected: str
) -> None:
    assert complaint(index).startswith(expected)


def test_up_to_255_classes_have_an_id_beside_the_ignored_pixels() -> None:
    classes = [{"name": f"class {n}", "color": [n, n, n], "id": n} for n in range(256)]
    block = BLOCK | {"mirrored": [], "ignore_ids": [], "background": None}
    assert len(FolderIndex.model_validate(block | {"classes": classes[:255]}).classes) == 255
    assert "at most 255 items" in complaint(block | {"classes": classes})


@pytest.mark.parametrize("split", ["first_28000", "first_27000"])
def test_only_the_official_split_has_a_val_part(split: str) -> None:
    index = {"reader": "celebamask_hq", "split": split, "val_every": None, "max_rejects": 0}
    assert complaint(index) == (
        f"earth.index: split {split} has a train and a test part only; set val_every, such as 20"
    )
    assert complaint(index | {"split": "official", "val_every": 20}) == (
        "earth.index: split official has its own val part; set val_every: null"
    )
    assert "val_every = 1: input should be greater than or equal to 2" in complaint(
        index | {"val_every": 1}
    )
