from __future__ import annotations

from pathlib import Path

import pytest

from flows.graph import Stage, outside, read_stages, stages_for
from semflow.core.errors import UserError

GRAPH = """
stages:
  last:
    foreach: ${datasets}
    do:
      cmd: x
      meta: {gpu: true}
      deps: ["models/${item}", code.py, "data/index/${item}/train"]
      metrics:
        - "reports/${item}.json":
            cache: false
  index:
    foreach: ${datasets}
    do:
      cmd: x
      deps: ["data/raw/${item}", code.py]
      outs: ["data/index/${item}"]
  model:
    foreach: ${datasets}
    do:
      cmd: x
      deps: ["data/index/${item}"]
      outs:
        - "models/${item}":
            desc: a model
  unrelated:
    cmd: x
    outs: [elsewhere]
"""
# Beside the first one, where DVC looks only for what that needs.
FETCHING = """
stages:
  fetch:
    foreach: [earth, venus]
    do:
      wdir: ..
      cmd: x
      deps: ["stages/${item}.txt"]
      outs: ["data/raw/${item}"]
  here:
    cmd: x
    deps: [a, ../code.py]
    outs: [b]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "dvc.yaml").write_text(FETCHING, encoding="utf-8")
    return tmp_path


def addresses(stages: list[Stage]) -> list[str]:
    return [stage.address for stage in stages]


def test_a_target_brings_what_it_reads_directly_or_not_each_before_its_reader(root: Path) -> None:
    assert addresses(stages_for("last", "earth", root)) == [
        "stages/dvc.yaml:fetch@earth",
        "index@earth",
        "model@earth",
        "last@earth",
    ]


def test_a_stage_that_makes_one_data_sets_input_is_not_needed_for_another(root: Path) -> None:
    stages = stages_for("last", "mars", root)
    assert addresses(stages) == ["index@mars", "model@mars", "last@mars"]
    assert outside(stages) == ["data/raw/mars", "code.py"]
    assert "fetch" not in read_stages("mars", root)


def test_paths_of_a_graph_in_a_folder_are_told_from_the_root(root: Path) -> None:
    stages = read_stages("venus", root)
    fetch, here = stages["fetch"], stages["here"]
    assert (fetch.deps, fetch.outs) == (("stages/venus.txt",), ("data/raw/venus",))
    assert (here.address, here.deps) == ("stages/dvc.yaml:here", ("stages/a", "code.py"))
    assert here.outs == ("stages/b",)


def test_a_commit_without_the_second_graph_is_read_as_well(root: Path) -> None:
    (root / "stages" / "dvc.yaml").unlink()
    assert addresses(stages_for("index", "earth", root)) == ["index@earth"]


def test_nothing_after_the_target_is_needed(root: Path) -> None:
    found = addresses(stages_for("index", "earth", root))
    assert found == ["stages/dvc.yaml:fetch@earth", "index@earth"]


def test_outputs_know_whether_git_holds_them_and_stages_whether_they_want_a_gpu(root: Path) -> None:
    stages = read_stages("earth", root)
    assert (stages["last"].outs, stages["last"].tracked) == (("reports/earth.json",),) * 2
    assert (stages["model"].outs, stages["model"].tracked) == (("models/earth",), ())
    assert [name for name, stage in stages.items() if stage.gpu] == ["last"]


def test_an_unknown_target_is_told_with_the_nearest_name(root: Path) -> None:
    with pytest.raises(UserError, match="'modle'; did you mean model"):
        stages_for("modle", "earth", root)


def test_a_folder_without_a_graph_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dvc\.yaml not found"):
        stages_for("last", "earth", tmp_path)
