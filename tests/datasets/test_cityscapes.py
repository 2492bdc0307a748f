from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official_labels
from PIL import Image

from semflow.core.errors import UserError
from semflow.datasets.base import Sample, UnreadableSample
from semflow.datasets.cityscapes import CityscapesReader
from semflow.datasets.schema import CityscapesIndex

# cityscapesScripts, helpers/labels.py: name, id, trainId, color.
LABELS = (
    ("unlabeled", 0, 255, (0, 0, 0)),
    ("ego vehicle", 1, 255, (0, 0, 0)),
    ("rectification border", 2, 255, (0, 0, 0)),
    ("out of roi", 3, 255, (0, 0, 0)),
    ("static", 4, 255, (0, 0, 0)),
    ("dynamic", 5, 255, (111, 74, 0)),
    ("ground", 6, 255, (81, 0, 81)),
    ("road", 7, 0, (128, 64, 128)),
    ("sidewalk", 8, 1, (244, 35, 232)),
    ("parking", 9, 255, (250, 170, 160)),
    ("rail track", 10, 255, (230, 150, 140)),
    ("building", 11, 2, (70, 70, 70)),
    ("wall", 12, 3, (102, 102, 156)),
    ("fence", 13, 4, (190, 153, 153)),
    ("guard rail", 14, 255, (180, 165, 180)),
    ("bridge", 15, 255, (150, 100, 100)),
    ("tunnel", 16, 255, (150, 120, 90)),
    ("pole", 17, 5, (153, 153, 153)),
    ("polegroup", 18, 255, (153, 153, 153)),
    ("traffic light", 19, 6, (250, 170, 30)),
    ("traffic sign", 20, 7, (220, 220, 0)),
    ("vegetation", 21, 8, (107, 142, 35)),
    ("terrain", 22, 9, (152, 251, 152)),
    ("sky", 23, 10, (70, 130, 180)),
    ("person", 24, 11, (220, 20, 60)),
    ("rider", 25, 12, (255, 0, 0)),
    ("car", 26, 13, (0, 0, 142)),
    ("truck", 27, 14, (0, 0, 70)),
    ("bus", 28, 15, (0, 60, 100)),
    ("caravan", 29, 255, (0, 0, 90)),
    ("trailer", 30, 255, (0, 0, 110)),
    ("train", 31, 16, (0, 80, 100)),
    ("motorcycle", 32, 17, (0, 0, 230)),
    ("bicycle", 33, 18, (119, 11, 32)),
    ("license plate", -1, -1, (0, 0, 142)),
)


PARAMS = CityscapesIndex(reader="cityscapes", val_every=3, max_rejects=0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """One frame of a train and of a val city whose labels hold every id, and a test frame."""
    ids = np.array([*range(34), 255], np.uint8).reshape(5, 7)
    for split, key in (
        ("val", "frankfurt_000000_000294"),
        ("train", "zurich_000121_000019"),
        ("train", "aachen_000173_000019"),
        ("train", "aachen_000000_000019"),
        ("test", "berlin_000000_000019"),
    ):
        city = key.split("_")[0]
        for kind, endings in (
            ("leftImg8bit", ["leftImg8bit.png"]),
            ("gtFine", ["gtFine_labelIds.png", "gtFine_color.png", "gtFine_instanceIds.png"]),
        ):
            (tmp_path / kind / split / city).mkdir(parents=True, exist_ok=True)
            for ending in endings:
                Image.fromarray(ids).save(tmp_path / kind / split / city / f"{key}_{ending}")
        (tmp_path / "gtFine" / split / city / f"{key}_gtFine_polygons.json").write_text("{}")
    return tmp_path


def test_the_table_here_is_the_one_of_the_official_package() -> None:
    assert tuple((one.name, one.id, one.trainId, one.color) for one in official_labels) == LABELS


def test_classes_and_colours_are_the_official_ones_in_the_order_of_their_train_ids() -> None:
    scored = sorted(
        (train_id, name, color) for name, _, train_id, color in LABELS if 0 <= train_id < 255
    )
    assert [train_id for train_id, _, _ in scored] == list(range(19))
    assert CityscapesReader.classes.names == tuple(name for _, name, _ in scored)
    assert CityscapesReader.classes.colors == tuple(color for _, _, color in scored)
    assert CityscapesReader.classes.mirrored == tuple(range(19))
    assert CityscapesReader.classes.background is None


def test_every_label_id_is_read_as_its_official_train_id(raw: Path) -> None:
    image, label = CityscapesReader(raw, PARAMS).read(
        Sample("frankfurt_000000_000294", "test", {"city": "frankfurt"})
    )
    assert image.shape == (5, 7, 3)
    assert label.dtype == np.uint8
    for _, label_id, train_id, _ in LABELS:
        # -1 is 255 in a byte, as an id and as a train id.
        place = divmod(34 if label_id == -1 else label_id, 7)
        assert label[place] == train_id % 256


def test_frames_come_city_by_city_and_the_downloads_own_test_split_stays_out(raw: Path) -> None:
    assert list(CityscapesReader(raw, PARAMS).samples()) == [
        Sample("aachen_000000_000019", "val", {"city": "aachen"}),
        Sample("aachen_000173_000019", "train", {"city": "aachen"}),
        Sample("zurich_000121_000019", "train", {"city": "zurich"}),
        Sample("frankfurt_000000_000294", "test", {"city": "frankfurt"}),
    ]


def test_an_unknown_label_id_is_named(raw: Path) -> None:
    key = "aachen_000000_000019"
    Image.new("L", (7, 5), 34).save(raw / "gtFine/train/aachen" / f"{key}_gtFine_labelIds.png")
    with pytest.raises(UnreadableSample, match="label id 34 is outside the mapping"):
        CityscapesReader(raw, PARAMS).read(Sample(key, "train", {"city": "aachen"}))


@pytest.mark.parametrize("folder", ["leftImg8bit/train", "leftImg8bit/val/frankfurt"])
def test_a_split_or_a_city_without_frames_is_named(raw: Path, folder: str) -> None:
    for path in sorted((raw / folder).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=f"{folder} holds no .*; unpack it again"):
        list(CityscapesReader(raw, PARAMS).samples())
