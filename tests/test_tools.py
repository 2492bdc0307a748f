from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from PIL import Image
from ruamel.yaml import YAML

from flows.graph import GRAPH_FILES
from semflow.schema import validate_params
from tools import closure
from tools.check_reruns import (
    CHANGES,
    DATASET,
    Change,
    altered,
    check_change,
    code_parts,
    code_table,
)
from tools.closure import ROOT, code_of
from tools.raw_trees import CELEBA_PARTS, make_celebamask_hq, make_cityscapes, make_coco_stuff
from tools.smoke_datasets import TREES, with_all_listed
from tools.write_deps import replace_code, rewritten


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
    command = [sys.executable, "-m", "tools.raw_trees", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_holds_anything_is_left_alone(tmp_path: Path, made: bool) -> None:
    root = tmp_path / "raw"
    if made:
        root.mkdir()
    assert make("folder", str(root), "--images", "5").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert len([path for path in before if path.is_file()]) == 12
    again = make("folder", str(root), "--images", "5", "--seed", "1")
    assert again.returncode == 1
    assert again.stderr == f"error: {root} is not empty; name another folder\n"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("name", ["raw_trees", "smoke_datasets"])
def test_a_tool_runs_as_a_module_from_the_root(name: str) -> None:
    command = [sys.executable, "-m", f"tools.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {name}.py ")


def test_a_stages_code_is_replaced_and_its_data_stays() -> None:
    stage = {
        "deps": ["data/x", "stages/packages.txt", "semflow/old", "stages/one.py", "semflow/a.py"]
    }
    replace_code(stage, {"stages/entry.py", "semflow/core", "semflow/pipeline.py"})
    assert stage["deps"] == [
        "data/x",
        "stages/packages.txt",
        "semflow/core",
        "semflow/pipeline.py",
        "stages/entry.py",
    ]


def test_what_make_deps_writes_is_what_the_contracts_hold() -> None:
    stages = [path.stem for path in (ROOT / "stages").glob("*.py")]
    assert {stage: code_of(stage) for stage in stages} == {
        stage: closure.code_of(stage) for stage in stages
    }


@pytest.mark.parametrize("file", GRAPH_FILES)
def test_rewriting_a_graph_changes_nothing_but_code_that_changed(file: str) -> None:
    def without_code(text: str) -> dict[str, Any]:
        values: dict[str, Any] = YAML(typ="safe").load(text)
        for stage in values["stages"].values():
            replace_code(stage.get("do", stage), set())
        return values

    graph = (ROOT / file).read_text("utf-8")
    again = rewritten(graph)
    assert without_code(again) == without_code(graph)
    assert re.findall("#.*", again) == re.findall("#.*", graph)
    assert rewritten(again) == again


def test_the_smoke_recipe_serves_all_data_sets_a_users_own_among_them(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = with_all_listed((ROOT / "params.yaml").read_text("utf-8"))
    params = validate_params(YAML(typ="safe").load(text), "params.yaml")
    assert params.datasets == ("cityscapes", "celebamask_hq", "coco_stuff", "rooms")
    (workspace / "params.yaml").write_text(text, "utf-8")
    (workspace / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "semflow.cli.main", "use", "smoke"]
    for dataset in TREES:
        subprocess.run([*command, dataset], check=True)
    text = (workspace / "params.yaml").read_text("utf-8")
    params = validate_params(YAML(typ="safe").load(text), "params.yaml")
    assert {params.dataset(name).train.steps for name in TREES} == {12}


GRAPH = """
stages:
  masks:
    foreach: ${datasets}
    do:
      cmd: python make.py masks
      deps: ["data/raw/${item}", semflow/palette, stages/entry.py]
      params: ["${item}.palette"]
      outs: [data/masks]
  train:
    foreach: ${datasets}
    do:
      cmd: python make.py train
      deps: [data/masks, semflow/training, semflow/pipeline.py, stages/entry.py]
      params: ["${item}.train"]
      outs: [data/train]
"""
RAW_GRAPH = """
stages:
  raw:
    foreach: [earth, mars]
    do:
      wdir: ..
      cmd: python make.py raw/${item}
      deps: [stages/entry.py]
      outs: ["data/raw/${item}"]
"""
# Makes an out that follows from all parameters, and notes that it has run, as stages do.
MAKE = """
import json, sys
from pathlib import Path

name, noted = sys.argv[1], Path("reports/earth/runtime.json")
for folder in ("data/raw", "reports/earth"):
    Path(folder).mkdir(parents=True, exist_ok=True)
Path("data", name).write_text(Path("params.yaml").read_text())
before = json.loads(noted.read_text()) if noted.exists() else {}
noted.write_text(json.dumps({**before, name: {"seconds": 0.0}}))
"""
BLOCKS = "earth: {palette: {k: 6}, train: {rate: 0.5}}\ndatasets: [earth]\n"


@pytest.fixture
def project(workspace: Path) -> Path:
    """A project under DVC, up to date, of stages that note when they have run."""
    for folder in ("semflow/palette", "semflow/training", "semflow/unused", "stages"):
        (workspace / folder).mkdir(parents=True)
    for name in ("palette/colors", "training/loop", "training/loss", "unused/old", "pipeline"):
        (workspace / "semflow" / f"{name}.py").write_text(f"# {name}\n", "utf-8")
    (workspace / "stages" / "entry.py").write_text("# entry\n", "utf-8")
    (workspace / "dvc.yaml").write_text(GRAPH, "utf-8")
    (workspace / "stages" / "dvc.yaml").write_text(RAW_GRAPH, "utf-8")
    (workspace / "make.py").write_text(MAKE, "utf-8")
    (workspace / "params.yaml").write_text(BLOCKS, "utf-8")
    subprocess.run(["git", "init", "--quiet"], check=True)
    Repo.init().close()
    subprocess.run(["dvc", "repro", "--quiet"], check=True)
    return workspace


def test_the_table_of_code_names_who_depends_on_a_package_and_who_follows(project: Path) -> None:
    files = [path for path in project.rglob("*.py") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    assert code_table().splitlines()[2:] == [
        "| `semflow/palette` | masks | train |",
        "| `semflow/pipeline.py` | train | none |",
        "| `semflow/training` | train | none |",
        "| `semflow/unused` | none | none |",
        "| `stages/entry.py` | masks, raw, train | none |",
    ]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before
    with Repo() as repo:
        assert repo.status().keys() == {"stages/dvc.yaml:raw@mars"}


def test_nothing_is_fetched_for_a_data_set_that_is_not_listed(project: Path) -> None:
    made = [path.name for path in (project / "data" / "raw").iterdir() if path.name[0] != "."]
    assert made == ["earth"]


def test_a_change_that_runs_what_it_should_passes_and_another_does_not(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_change(Change("palette", "k", 7, frozenset({"masks", "train"})))
    assert not check_change(Change("train", "rate", 0.25, frozenset({"masks"})))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "palette.k: ran ['masks', 'train']; changed back: []; as it should"
    assert second.startswith("train.rate: ran ['train']; changed back: []; WRONG: expected")
    assert (project / "params.yaml").read_text("utf-8") == BLOCKS


def test_a_file_is_brought_back_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("as it was", "utf-8")
    os.utime(path, ns=(10**18, 10**18))
    seen = ""

    def stopped() -> None:
        nonlocal seen
        with altered(path, "changed"):
            seen = path.read_text("utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert seen == "changed"
    assert path.read_text("utf-8") == "as it was"
    assert path.stat().st_mtime_ns == 10**18


def test_every_package_and_top_module_of_the_library_is_a_row_of_the_table() -> None:
    names = [name for name, _ in code_parts(ROOT)]
    assert {"semflow/core", "semflow/pseudo_masks", "semflow/pipeline.py"} < set(names)
    assert "stages/entry.py" in names
    assert names == sorted(names)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.block}.{change.key}")
def test_what_make_smoke_changes_is_another_value(change: Change) -> None:
    block = YAML(typ="safe").load(ROOT / "params.yaml")[DATASET][change.block]
    assert block[change.key] != change.value
