from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.closure import ROOT

from tools.raw_trees import CELEBA_PARTS, make_celebamask_hq, make_cityscapes, make_coco_stuff


def form_of(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height of an image file, and how its pixels are stored."""
    with Image.open(path) as image:
        return image.size, image.mode


def test_cityscapes_frames_have_the_downloads_files_sizes_and_modes(tmp_path: Path) -> None:
    make_cityscapes(tmp_path, images=2, seed=0)
    key = "frankfurt_000000_000019"
    size = (2048, 1024)
    assert form_of(tmp_path / f"leftImg8bit/val/frankfurt/{key}_leftImg8bit.png") == (size, "RGB")
    labels = tmp_path / "gtFine/val/frankfurt"
    assert sorted(path.name for path in labels.iterdir()) == [
        f"{key}_gtFine_{kind}"
        for kind in ("color.png", "instanceIds.png", "labelIds.png", "polygons.json")
    ]
    assert form_of(labels / f"{key}_gtFine_labelIds.png") == (size, "L")
    assert form_of(labels / f"{key}_gtFine_color.png") == (size, "RGBA")
    assert form_of(labels / f"{key}_gtFine_instanceIds.png") == (size, "I;16")
    assert sorted(path.name for path in (tmp_path / "gtFine").iterdir()) == ["test", "train", "val"]


def test_faces_have_the_downloads_folders_sizes_and_mapping(tmp_path: Path) -> None:
    make_celebamask_hq(tmp_path, images=10, seed=0)
    parts = tmp_path / "CelebAMask-HQ-mask-anno"
    assert {path.name for path in parts.iterdir()} == {str(number) for number in range(15)}
    assert form_of(tmp_path / "CelebA-HQ-img/3000.jpg") == ((1024, 1024), "RGB")
    assert form_of(parts / "1/03000_skin.png") == ((512, 512), "RGB")
    assert form_of(parts / "13/27000_skin.png") == ((512, 512), "L")
    assert 1 <= len(list(parts.glob("1/03000_*.png"))) < 18
    header, *rows = (tmp_path / "CelebA-HQ-to-CelebA-mapping.txt").read_text("utf-8").splitlines()
    assert header.split() == ["idx", "orig_idx", "orig_file"]
    for row, number in zip(rows, range(0, 30_000, 3000), strict=True):
        columns = row.split()
        photo = int(columns[1])
        assert columns == [str(number), str(photo), f"{photo + 1:06d}.jpg"]
        assert CELEBA_PARTS[0] <= photo < CELEBA_PARTS[3]


def test_scenes_have_several_of_the_downloads_sizes(tmp_path: Path) -> None:
    make_coco_stuff(tmp_path, images=5, seed=0)
    images = sorted((tmp_path / "train2017").iterdir())
    assert {form_of(path)[0] for path in images} == {(640, 480), (480, 640), (640, 427), (500, 375)}
    for path in images:
        assert len(path.stem) == 12
        label = tmp_path / "stuffthingmaps_trainval2017/train2017" / f"{path.stem}.png"
        assert form_of(label) == (form_of(path)[0], "L")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests" / "raw_trees.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "raw"
    if made:
        root.mkdir()
    assert make("folder", str(root), "--images", "5").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert len([path for path in before if path.is_file()]) == 10
    again = make("folder", str(root), "--images", "5", "--seed", "1")
    assert again.returncode == 1
    assert again.stderr == f"error: {root} is not empty; name another folder\n"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
