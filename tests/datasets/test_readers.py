"""What holds of every reader of raw downloads, on generated trees in the real layouts."""

from __future__ import annotations

import pickle
import re
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter
from support.tiny_data import index_of

from semflow.core.errors import UserError
from semflow.core.labels import mirror
from semflow.datasets.base import Reader, Sample, UnreadableSample
from semflow.datasets.celebamask_hq import CelebAMaskHQReader
from semflow.datasets.cityscapes import CityscapesReader
from semflow.datasets.coco_stuff import CocoStuffReader
from semflow.datasets.folder import FolderReader
from semflow.datasets.readers import open_reader
from semflow.datasets.schema import IndexParams
from semflow.index.listing import read_index
from tools.raw_trees import FOLDER_IDS, MAKERS

IMAGES = 40
CLASSES = [
    {"name": name, "color": [value, value, value], "id": value}
    for name, value in FOLDER_IDS.items()
    if name != "nothing"
]


@dataclass(frozen=True)
class Raw:
    """A data set's raw tree.

    Args:
        reader: the kind that opens it.
        index: its block of params.yaml.
        parts: what the tree has at its top and must not lack.
        image: a sample's image outside train, as it is named.
        label: a file of that sample's label.
        site: where its download is found.
    """

    reader: type[Any]
    index: dict[str, Any]
    parts: tuple[str, ...]
    image: str
    label: str
    site: str


RAW = {
    "cityscapes": Raw(
        CityscapesReader,
        {"reader": "cityscapes", "val_every": 3, "max_rejects": 1},
        ("leftImg8bit/train", "leftImg8bit/val", "gtFine/train", "gtFine/val"),
        "leftImg8bit/val/munster/munster_000000_000019_leftImg8bit.png",
        "gtFine/val/munster/munster_000000_000019_gtFine_labelIds.png",
        "www.cityscapes-dataset.com",
    ),
    "celebamask_hq": Raw(
        CelebAMaskHQReader,
        {"reader": "celebamask_hq", "split": "official", "val_every": None, "max_rejects": 1},
        ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno", "CelebA-HQ-to-CelebA-mapping.txt"),
        "CelebA-HQ-img/6000.jpg",
        "CelebAMask-HQ-mask-anno/3/06000_skin.png",
        "github.com/switchablenorms/CelebAMask-HQ",
    ),
    "coco_stuff": Raw(
        CocoStuffReader,
        {"reader": "coco_stuff", "val_every": 3, "max_rejects": 1},
        tuple(
            f"{kind}{split}2017"
            for kind in ("", "stuffthingmaps_trainval2017/")
            for split in ("train", "val")
        ),
        "val2017/000000000139.jpg",
        "stuffthingmaps_trainval2017/val2017/000000000139.png",
        "cocodataset.org",
    ),
    "folder": Raw(
        FolderReader,
        {
            "reader": "folder",
            "classes": CLASSES,
            "mirrored": [["left wall", "right wall"]],
            "ignore_ids": [0],
            "background": None,
            "max_rejects": 1,
        },
        ("train/images", "train/labels", "val/images", "val/labels"),
        "val/images/photo_00000.png",
        "val/labels/photo_00000.png",
        "train/images, train/labels",
    ),
}
EVERY = pytest.mark.parametrize("name", RAW)


def params_of(name: str) -> IndexParams:
    params: IndexParams = TypeAdapter(IndexParams).validate_python(RAW[name].index)
    return params


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of every data set, a sixteenth of the real sides."""
    root = tmp_path_factory.mktemp("raw")
    for name, make in MAKERS.items():
        make(root / name, IMAGES, 0, 1 / 16)
    return root


@pytest.fixture
def copies(trees: Path, tmp_path: Path) -> Path:
    """The trees to spoil."""
    shutil.copytree(trees, tmp_path / "raw")
    return tmp_path / "raw"


def broken(root: Path, name: str) -> tuple[Reader, Sample]:
    """The reader of a tree and the sample that RAW names."""
    reader = open_reader(root / name, params_of(name))
    stem = Path(RAW[name].image).stem.removesuffix("_leftImg8bit")
    return reader, next(s for s in reader.samples() if s.key == stem and s.split != "train")


@EVERY
def test_the_reader_is_chosen_by_the_block(trees: Path, name: str) -> None:
    assert type(open_reader(trees / name, params_of(name))) is RAW[name].reader


@EVERY
def test_samples_come_in_the_same_order_each_with_its_own_key(trees: Path, name: str) -> None:
    reader = open_reader(trees / name, params_of(name))
    samples = list(reader.samples())
    assert samples == list(open_reader(trees / name, params_of(name)).samples())
    keys = {(sample.key, sample.split) for sample in samples}
    # The folder's test images come on top.
    assert len(samples) == len(keys) == IMAGES + (IMAGES // 5 if name == "folder" else 0)
    assert {sample.split for sample in samples} == {"train", "val", "test"}


@EVERY
def test_no_image_is_in_two_splits_and_the_last_samples_are_test(trees: Path, name: str) -> None:
    samples = list(open_reader(trees / name, params_of(name)).samples())
    files = [(s.split if name == "folder" else "", s.key, str(s.place)) for s in samples]
    assert len(set(files)) == len(files)
    tested = [sample.split == "test" for sample in samples]
    assert tested == sorted(tested)


@pytest.mark.parametrize("name", ["cityscapes", "coco_stuff"])
def test_every_nth_image_of_the_train_list_is_val_and_the_official_val_split_is_test(
    trees: Path, name: str
) -> None:
    samples = list(open_reader(trees / name, params_of(name)).samples())
    listed = [sample for sample in samples if sample.split != "test"]
    assert [s.key for s in listed if s.split == "val"] == [s.key for s in listed][::3]
    assert len(listed) == IMAGES - IMAGES // 5
    assert Path(RAW[name].image).stem.removesuffix("_leftImg8bit") in [
        sample.key for sample in samples[len(listed) :]
    ]


@EVERY
def test_every_class_occurs_in_test_and_outside_it_in_a_generated_tree(
    trees: Path, name: str
) -> None:
    reader = open_reader(trees / name, params_of(name))
    found: dict[str, set[int]] = {"test": set(), "others": set()}
    for sample in reader.samples():
        image, label = reader.read(sample)
        assert image.dtype == label.dtype == np.uint8
        factor = 2 if name == "celebamask_hq" else 1
        assert image.shape == (factor * label.shape[0], factor * label.shape[1], 3)
        found["test" if sample.split == "test" else "others"] |= set(np.unique(label).tolist())
    ids = set(range(len(reader.classes.names)))
    assert found["test"] - {255} == found["others"] - {255} == ids


@EVERY
def test_a_class_has_one_hue_in_a_generated_tree(trees: Path, name: str) -> None:
    reader = open_reader(trees / name, params_of(name))
    means: dict[int, list[float]] = {}
    for sample in islice(reader.samples(), 4):
        image, label = reader.read(sample)
        step = image.shape[0] // label.shape[0]
        for class_id in set(np.unique(label).tolist()) - {255}:
            pixels = image[::step, ::step, 0][label == class_id]
            if len(pixels) > 40:
                means.setdefault(class_id, []).append(float(pixels.mean()))
    several = [values for values in means.values() if len(values) > 1]
    # Light changes by 41 grey levels from cell to cell, hues by nearly 200.
    assert all(max(values) - min(values) < 45 for values in several)
    assert several or name == "coco_stuff"


@EVERY
def test_flipping_a_label_twice_gives_it_back(trees: Path, name: str) -> None:
    reader = open_reader(trees / name, params_of(name))
    mirrored = reader.classes.mirrored
    for sample in islice(reader.samples(), 3):
        _, label = reader.read(sample)
        once = mirror(label, mirrored)
        assert not np.array_equal(once, label)
        assert np.array_equal(mirror(once, mirrored), label)


@EVERY
def test_a_reader_is_sent_to_a_worker_in_a_few_bytes(trees: Path, name: str) -> None:
    reader = open_reader(trees / name, params_of(name))
    sample = next(reader.samples())
    sent = pickle.dumps(reader)
    assert len(sent) < 3000
    for here, there in zip(reader.read(sample), pickle.loads(sent).read(sample), strict=True):
        assert np.array_equal(here, there)


@EVERY
def test_a_sound_tree_is_indexed_without_rejects(trees: Path, tmp_path: Path, name: str) -> None:
    reader = open_reader(trees / name, params_of(name))
    index = index_of(reader, tmp_path / "index")
    assert index.rejects == ()
    assert sum(index.counts.values()) == len(list(reader.samples()))
    assert read_index(tmp_path / "index").classes == reader.classes


@pytest.mark.parametrize(("name", "part"), [(name, p) for name in RAW for p in RAW[name].parts])
def test_a_missing_part_of_the_tree_is_told_in_one_line(copies: Path, name: str, part: str) -> None:
    lost = copies / name / part
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(UserError) as refusal:
        open_reader(copies / name, params_of(name))
    message = str(refusal.value)
    assert message.startswith(f"{lost} is missing; ")
    assert RAW[name].site in message
    assert message.endswith(f"into {copies / name} (a link will do)")
    assert "\n" not in message


@EVERY
def test_a_linked_tree_is_read_like_the_tree_itself(trees: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(trees / name)
    linked = open_reader(tmp_path / "link", params_of(name))
    assert list(linked.samples()) == list(open_reader(trees / name, params_of(name)).samples())


@EVERY
@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_file_cut_short_is_a_reject_by_its_name(copies: Path, name: str, kind: str) -> None:
    reader, sample = broken(copies, name)
    path = copies / name / getattr(RAW[name], kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableSample, match=rf"{re.escape(path.name)} is unreadable \(.+\)"):
        reader.read(sample)


@EVERY
def test_a_missing_label_is_a_reject_in_the_index(copies: Path, tmp_path: Path, name: str) -> None:
    reader, sample = broken(copies, name)
    label = copies / name / RAW[name].label
    if name == "celebamask_hq":
        for part in label.parent.glob("06000_*.png"):
            part.unlink()
    else:
        label.unlink()
    index = index_of(reader, tmp_path / "index", max_rejects=1)
    (reject,) = index.rejects
    assert (reject.key, reject.split) == (sample.key, sample.split)
    assert reject.reason in (
        f"{label.name} is missing",
        "CelebAMask-HQ-mask-anno/3 has no part of 06000",
    )


def test_a_missing_face_is_a_reject_as_the_mapping_lists_it(copies: Path) -> None:
    reader, sample = broken(copies, "celebamask_hq")
    (copies / "celebamask_hq" / RAW["celebamask_hq"].image).unlink()
    with pytest.raises(UnreadableSample, match=r"6000.jpg is missing"):
        reader.read(sample)


@pytest.mark.parametrize("name", ["cityscapes", "coco_stuff", "folder"])
def test_an_image_of_another_size_than_its_label_is_a_reject(copies: Path, name: str) -> None:
    reader, sample = broken(copies, name)
    label = copies / name / RAW[name].label
    Image.open(label).crop((0, 0, 20, 10)).save(label)
    with pytest.raises(UnreadableSample, match=r"image is \(\d+, \d+\) but its label \(10, 20\)"):
        reader.read(sample)


@pytest.mark.parametrize("name", ["cityscapes", "coco_stuff", "folder"])
def test_a_name_with_a_dot_is_a_reject_in_the_index(
    copies: Path, tmp_path: Path, name: str
) -> None:
    reader, sample = broken(copies, name)
    for file in (RAW[name].image, RAW[name].label):
        path = copies / name / file
        path.rename(path.with_name(path.name.replace(sample.key, f"{sample.key}.2", 1)))
    index = index_of(reader, tmp_path / "index", max_rejects=1)
    (reject,) = index.rejects
    assert reject.key == f"{sample.key}.2"
    assert reject.reason == "a name has no dot and no control character; rename the file"
