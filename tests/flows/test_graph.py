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
  fetch:
    cmd: x
    outs: [data/raw/earth]
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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    return tmp_path


def addresses(stages: list[Stage]) -> list[str]:
    return [stage.address for stage in stages]


def test_a_target_brings_what_it_reads_directly_or_not_each_before_its_reader(root: Path) -> None:
    assert addresses(stages_for("last", "earth", root)) == [
        "fetch",
        "index@earth",
        "model@earth",
        "last@earth",
    ]


def test_a_stage_that_makes_one_data_sets_input_is_not_needed_for_another(root: Path) -> None:
    stages = stages_for("last", "mars", root)
    assert addresses(stages) == ["index@mars", "model@mars", "last@mars"]
    assert outside(stages) == ["data/raw/mars", "code.py"]


def test_nothing_after_the_target_is_needed(root: Path) -> None:
    assert addresses(stages_for("index", "earth", root)) == ["fetch", "index@earth"]


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
