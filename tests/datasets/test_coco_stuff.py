from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.coco_stuff_tables import LABELS_TXT, PALETTE

from semflow.datasets.base import Sample, UnreadableSample
from semflow.datasets.coco_stuff import CocoStuffReader
from semflow.datasets.schema import CocoStuffIndex

# Official ids of the categories that are never annotated: street sign, hat, shoe, eye glasses,
# plate, mirror, window, desk, door, blender, hair brush.
WITHOUT_ANNOTATION = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
IDS = {
    int(official): name
    for official, name in (line.split(": ") for line in LABELS_TXT.splitlines())
    if official != "0"
}
ANNOTATED = [official for official in IDS if official not in WITHOUT_ANNOTATION]


PARAMS = CocoStuffIndex(reader="coco_stuff", val_every=3, max_rejects=0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two train images and a val image, 12 rows of 16, whose labels hold every raw value."""
    values = np.full((12, 16), 255, np.uint8)
    values.ravel()[:182] = range(182)
    for folder, key in (
        ("train2017", "000000000030"),
        ("train2017", "000000000009"),
        ("val2017", "000000000139"),
    ):
        labels = tmp_path / "stuffthingmaps_trainval2017" / folder
        for path in (tmp_path / folder, labels):
            path.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 12), 77).save(tmp_path / folder / f"{key}.jpg")
        Image.fromarray(values).save(labels / f"{key}.png")
    return tmp_path


def test_the_official_table_has_182_ids_and_171_annotated_ones() -> None:
    assert list(IDS) == list(range(1, 183))
    assert len(ANNOTATED) == 171
    assert (IDS[12], IDS[91], IDS[92], IDS[182]) == ("street sign", "hair brush", "banner", "wood")


def test_names_and_colours_are_the_official_ones_in_order() -> None:
    classes = CocoStuffReader.classes
    assert list(classes.names) == [IDS[official] for official in ANNOTATED]
    assert [list(color) for color in classes.colors] == PALETTE
    assert classes.mirrored == tuple(range(171))
    assert classes.background is None


def test_things_come_first_and_stuff_from_80_on() -> None:
    names = CocoStuffReader.classes.names
    assert (names[0], names[79], names[80], names[170]) == (
        "person",
        "toothbrush",
        "banner",
        "wood",
    )


def test_every_raw_value_is_its_official_id_less_one_renumbered(raw: Path) -> None:
    image, label = CocoStuffReader(raw, PARAMS).read(Sample("000000000139", "test", {}))
    assert image.shape == (12, 16, 3)
    assert label.dtype == np.uint8
    class_ids = {official: class_id for class_id, official in enumerate(ANNOTATED)}
    expected = [class_ids.get(official, 255) for official in range(1, 183)]
    assert label.ravel()[:182].tolist() == expected
    assert (label.ravel()[182:] == 255).all()


def test_images_come_by_number_and_the_official_val_split_last(raw: Path) -> None:
    assert list(CocoStuffReader(raw, PARAMS).samples()) == [
        Sample("000000000009", "val", {}),
        Sample("000000000030", "train", {}),
        Sample("000000000139", "test", {}),
    ]


@pytest.mark.parametrize("value", [182, 254])
def test_a_value_beyond_the_categories_is_named(raw: Path, value: int) -> None:
    label = raw / "stuffthingmaps_trainval2017/val2017/000000000139.png"
    Image.new("L", (16, 12), value).save(label)
    with pytest.raises(UnreadableSample, match=f"label id {value} is outside the mapping"):
        CocoStuffReader(raw, PARAMS).read(Sample("000000000139", "test", {}))
