"""`semflow init` on small real files in the layouts that people have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.tiny import Command

from semflow.datasets.readers import open_reader
from semflow.index.checking import write_index
from semflow.index.listing import read_index
from semflow.schema import DatasetParams, read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.pixels import PixelWork, write_pixel_shards
from tools.closure import ROOT

SHAPE = (40, 64)
CAMVID = {"Sky": (128, 128, 128), "Road": (128, 64, 128), "Void": (0, 0, 0)}
Save = Callable[[NDArray[np.uint8], Path], None]


@pytest.fixture
def project(workspace: Path) -> Path:
    """The repository's own params.yaml, recipes and weights."""
    shutil.copy(ROOT / "params.yaml", workspace)
    for name in ("recipes", "pretrained"):
        (workspace / name).symlink_to(ROOT / name)
    return workspace


def ids_of(number: int, ids: tuple[int, ...] = (0, 1, 2)) -> NDArray[np.uint8]:
    """Stripes of all ids, another order in each label."""
    stripes = np.roll(np.array(ids, np.uint8), number)
    return np.broadcast_to(np.resize(stripes, SHAPE[0])[:, None], SHAPE).copy()


def plain(ids: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(ids).save(path)


def indexed(ids: NDArray[np.uint8], path: Path) -> None:
    """As VOC's: ids with a palette."""
    image = Image.fromarray(ids, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, *[7] * 759])
    image.save(path)


def colored(ids: NDArray[np.uint8], path: Path) -> None:
    """As CamVid's: the classes' colours."""
    Image.fromarray(np.array(list(CAMVID.values()), np.uint8)[ids]).save(path)


def make_pairs(
    root: Path,
    save: Save = plain,
    count: int = 12,
    ids: tuple[int, ...] = (0, 1, 2),
    suffix: str = "",
    split: str = "",
) -> None:
    """`photos/*.jpg` and `masks/*<suffix>.png`."""
    for kind in ("photos", "masks"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        key = f"{split or 'view'}_{number:03d}"
        label = ids_of(number, ids)
        Image.fromarray(np.repeat(label[..., None] * 50, 3, -1)).save(
            root / "photos" / split / f"{key}.jpg"
        )
        save(label, root / "masks" / split / f"{key}{suffix}.png")


INIT = ("init", "rooms", "--images", "photos", "--labels", "masks")


def rooms() -> DatasetParams:
    return read_params().dataset("rooms")


def test_plain_ids_become_a_block_with_a_class_for_each_and_a_listed_name(
    semflow_command: Command, project: Path
) -> None:
    before = (project / "params.yaml").read_text("utf-8")
    make_pairs(project)
    result = semflow_command(*INIT)
    assert (result.code, result.err) == (0, "")
    index = rooms().index
    assert index.reader == "folder"
    assert [(one.name, one.id) for one in index.classes] == [(f"class_{i}", i) for i in range(3)]
    assert len({one.color for one in index.classes}) == 3
    assert rooms().shards.image_size == (48, 64)
    assert read_params().datasets == ("earth", "rooms")
    assert "rooms: 12 pairs (4 test, 4 train, 4 val)" in result.out
    assert result.out.endswith("  dvc repro report@rooms\n")
    # All else stays byte for byte.
    after = (project / "params.yaml").read_text("utf-8")
    assert after.startswith(before.replace("[earth]", "[earth, rooms]"))


def test_an_indexed_pngs_palette_colours_the_classes_and_255_is_ignored(
    semflow_command: Command, project: Path
) -> None:
    make_pairs(project, indexed, ids=(0, 1, 2, 255))
    (project / "names.txt").write_text("background\naeroplane\nbicycle\n", encoding="utf-8")
    result = semflow_command(*INIT, "--classes", "names.txt")
    assert (result.code, result.err) == (0, "")
    assert [(one.name, one.color) for one in rooms().index.classes] == [
        ("background", (0, 0, 0)),
        ("aeroplane", (128, 0, 0)),
        ("bicycle", (0, 128, 0)),
    ]
    assert rooms().index.ignore_ids == (255,)
    assert "ignored: id 255, 25.0% of pixels" in result.out


def test_colour_labels_with_a_suffix_become_ids_as_the_file_of_classes_says(
    semflow_command: Command, project: Path
) -> None:
    make_pairs(project, colored, suffix="_L")
    lines = [f"{r} {g} {b}\t{name}\n" for name, (r, g, b) in CAMVID.items()]
    (project / "label_colors.txt").write_text("".join(lines), encoding="utf-8")
    result = semflow_command(*INIT, "--classes", "label_colors.txt", "--ignore", "Void")
    assert (result.code, result.err) == (0, "")
    assert [(one.name, one.color) for one in rooms().index.classes] == list(CAMVID.items())[:2]
    [made] = (project / "data/raw/rooms").glob("*/labels/view_005.png")
    assert np.array_equal(np.asarray(Image.open(made)), ids_of(5))


def test_folders_that_say_a_split_are_kept_and_ids_may_begin_at_1(
    semflow_command: Command, project: Path
) -> None:
    make_pairs(project, split="training", count=6, ids=(0, 1, 2))
    make_pairs(project, split="validation", count=4, ids=(0, 1, 2))
    (project / "names.txt").write_text("wall\nfloor\n", encoding="utf-8")
    result = semflow_command(*INIT, "--classes", "names.txt", "--ignore", "0")
    assert (result.code, result.err) == (0, "")
    assert [(one.name, one.id) for one in rooms().index.classes] == [("wall", 1), ("floor", 2)]
    raw = project / "data/raw/rooms"
    assert len(list((raw / "train/images").iterdir())) == 6
    assert len(list((raw / "val/labels").iterdir())) == 4
    assert (rooms().evaluate.split, rooms().evaluate.reference) == ("val", "own")


def test_black_and_white_masks_have_two_classes(semflow_command: Command, project: Path) -> None:
    make_pairs(project, ids=(0, 255))
    assert semflow_command(*INIT).code == 0
    assert [one.id for one in rooms().index.classes] == [0, 255]


def test_left_and_right_are_swapped_by_a_flip(semflow_command: Command, project: Path) -> None:
    make_pairs(project)
    (project / "names.txt").write_text("floor\nleft wall\nright wall\n", encoding="utf-8")
    assert semflow_command(*INIT, "--classes", "names.txt").code == 0
    assert rooms().index.mirrored == (("left wall", "right wall"),)


@pytest.mark.parametrize("save", [plain, indexed])
def test_index_and_shards_run_on_what_init_has_made(
    semflow_command: Command, project: Path, tmp_path: Path, save: Save
) -> None:
    make_pairs(project, save)
    assert semflow_command(*INIT).code == 0
    reader = open_reader(project / "data/raw/rooms", rooms().index)
    (tmp_path / "work").mkdir()
    write_index(reader, tmp_path / "work", tmp_path / "index", rooms().index.max_rejects)
    index = read_index(tmp_path / "index")
    (tmp_path / "more").mkdir()
    write_pixel_shards(
        PixelWork(index, reader, rooms().shards, tmp_path / "more"), tmp_path / "shards"
    )
    assert {split: len(read_manifest(tmp_path / "shards" / split)) for split in ("train", "val")}


def test_files_are_linked_and_not_copied(semflow_command: Command, project: Path) -> None:
    make_pairs(project)
    assert semflow_command(*INIT).code == 0
    [made] = (project / "data/raw/rooms").glob("*/images/view_003.jpg")
    assert made.samefile(project / "photos/view_003.jpg")


def deep(ids: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(ids.astype(np.uint16)).save(path)


@pytest.mark.parametrize(
    ("save", "ids", "arguments", "complaint"),
    [
        (deep, (0, 1), (), "has 16 bits"),
        (colored, (0, 1), (), "holds colours, not ids; say their classes with --classes FILE"),
        (plain, (7,), (), "the labels have 1 classes"),
        (plain, (0, 1), ("--classes", "nowhere.txt"), "nowhere.txt not found"),
        (plain, (0, 3), ("--classes", "two.txt"), "label id 3 has no line in --classes FILE"),
        (colored, (0, 2), ("--classes", "one.txt"), "has the colour 0 0 0, which is no class's"),
        (plain, (0, 1), ("--classes", "many.txt"), "has 256 classes"),
        (plain, (0, 1), ("--classes", "digits.txt"), "has a number above 255"),
        (plain, (0, 1), ("--ignore", "void"), "--ignore void: neither an id"),
        (plain, (0, 1), ("--ignore", "9" * 5000), "9999: neither an id"),
    ],
)
def test_labels_that_cannot_serve_are_one_line_and_nothing_is_written(
    semflow_command: Command,
    project: Path,
    save: Save,
    ids: tuple[int, ...],
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    before = (project / "params.yaml").read_bytes()
    make_pairs(project, save, ids=ids)
    (project / "two.txt").write_text("a\nb\n", encoding="utf-8")
    (project / "one.txt").write_text("128 128 128 sky\n", encoding="utf-8")
    (project / "many.txt").write_text("".join(f"c{i}\n" for i in range(256)), encoding="utf-8")
    (project / "digits.txt").write_text(f"{'9' * 5000} a\n1 b\n", encoding="utf-8")
    result = semflow_command(*INIT, *arguments)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert len(result.err) < 400
    assert complaint in result.err
    assert (project / "params.yaml").read_bytes() == before
    assert not (project / "data").exists()


def no_pair(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.rename(path.with_name(f"other{path.name}"))


def no_label(root: Path) -> None:
    (root / "masks/view_004.png").unlink()


def too_few(root: Path) -> None:
    for number in range(3, 12):
        (root / f"photos/view_{number:03d}.jpg").unlink()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (no_pair, "no label in masks has the name of an image in photos"),
        (no_label, "1 of 12 images have no label in masks, view_004.jpg first"),
        (too_few, "3 pairs leave 0 for train"),
        (lambda root: shutil.rmtree(root / "masks"), "masks is no folder"),
    ],
)
def test_files_that_make_no_pairs_are_one_line(
    semflow_command: Command, project: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    make_pairs(project)
    spoil(project)
    result = semflow_command(*INIT)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert complaint in result.err
    assert not (project / "data").exists()


def test_images_without_a_label_are_left_out_when_asked(
    semflow_command: Command, project: Path
) -> None:
    make_pairs(project)
    no_label(project)
    result = semflow_command(*INIT, "--labelled-only")
    assert result.out.startswith("rooms: 11 pairs")


def test_a_block_is_replaced_only_by_force(semflow_command: Command, project: Path) -> None:
    make_pairs(project)
    assert semflow_command(*INIT).code == 0
    result = semflow_command(*INIT)
    assert result.code == 2
    assert "params.yaml has a block rooms; replace it with --force" in result.err
    make_pairs(project, count=15)
    assert semflow_command(*INIT, "--force").out.startswith("rooms: 15 pairs")
    assert len(list((project / "data/raw/rooms").glob("*/images/*"))) == 15
    assert read_params().datasets == ("earth", "rooms")


def test_raw_files_that_init_has_not_made_are_never_replaced(
    semflow_command: Command, project: Path
) -> None:
    make_pairs(project / "data/raw/earth")
    make_pairs(project)
    result = semflow_command("init", "earth", *INIT[2:], "--force")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "data/raw/earth is there and not made by semflow init" in result.err
    inside = ("--images", "data/raw/earth/photos", "--labels", "data/raw/earth/masks")
    assert "lies in data/raw/earth" in semflow_command("init", "earth", *inside, "--force").err
    assert len(list((project / "data/raw/earth").rglob("*.jpg"))) == 12


@pytest.mark.parametrize("name", ["datasets", "Rooms", "my-rooms", "../rooms"])
def test_a_name_that_cannot_be_a_data_sets_is_one_line(
    semflow_command: Command, project: Path, name: str
) -> None:
    make_pairs(project)
    result = semflow_command("init", name, *INIT[2:])
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "cannot name a data set" in result.err
