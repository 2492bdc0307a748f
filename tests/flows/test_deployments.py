"""prefect.yaml is params.yaml times the flows; the flows' stages are dvc.yaml's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import flows.runs
from flows.artifacts import key_of
from flows.graph import GRAPH_FILES, outside, read_stages, stages_for
from flows.plugin import completed
from flows.runs import TARGETS
from semflow.schema import read_params
from stages.entry import Folders
from tools.closure import ROOT

DATASETS = sorted(read_params(ROOT / "params.yaml").blocks)
DEPLOYMENTS: list[dict[str, Any]] = YAML(typ="safe").load(ROOT / "prefect.yaml")["deployments"]
DVC_FILES: dict[str, dict[str, Any]] = {
    file: YAML(typ="safe").load(ROOT / file) for file in GRAPH_FILES
}
GRAPH: dict[str, Any] = DVC_FILES["dvc.yaml"]["stages"]
EMBEDDED = DVC_FILES["stages/dvc.yaml"]["stages"]["raw"]["foreach"]


def test_there_is_a_deployment_of_each_flow_for_each_data_set() -> None:
    named = {entry["name"]: entry["parameters"]["dataset"] for entry in DEPLOYMENTS}
    assert named == {key_of(flow, dataset): dataset for flow in TARGETS for dataset in DATASETS}


@pytest.mark.parametrize("entry", DEPLOYMENTS, ids=lambda entry: str(entry["name"]))
def test_a_deployments_name_starts_with_its_flow_and_can_stand_alone(entry: dict[str, Any]) -> None:
    path, _, function = entry["entrypoint"].partition(":")
    assert path == str(Path(flows.runs.__file__).relative_to(ROOT))
    assert getattr(flows.runs, function).name == function
    assert completed(["deployment", "run", entry["name"]])[2] == f"{function}/{entry['name']}"


def test_schedules_start_switched_off() -> None:
    schedules = [one for entry in DEPLOYMENTS for one in entry.get("schedules", [])]
    assert schedules
    assert not any(one["active"] for one in schedules)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_report_needs_every_stage_and_its_own_raw_files(dataset: str) -> None:
    found = [stage.address for stage in stages_for(TARGETS["evaluate"], dataset, ROOT)]
    expected = {
        f"{name}@{dataset}" if "foreach" in stage else name for name, stage in GRAPH.items()
    }
    raw = {f"stages/dvc.yaml:raw@{dataset}"} if dataset in EMBEDDED else set()
    assert set(found) == expected | raw
    assert len(found) == len(set(found))


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("flow", TARGETS)
def test_every_stage_comes_after_what_it_reads(flow: str, dataset: str) -> None:
    made: set[str] = set()
    everything = {out for stage in read_stages(dataset, ROOT).values() for out in stage.outs}
    for stage in stages_for(TARGETS[flow], dataset, ROOT):
        assert set(stage.deps) & everything <= made | {f"data/raw/{dataset}"}
        made |= set(stage.outs)


def test_training_needs_neither_baseline_nor_metrics() -> None:
    names = {stage.name for stage in stages_for(TARGETS["train"], "earth", ROOT)}
    assert not names & {"baseline", "metric_weights", "evaluate", "report"}


def test_only_raw_downloads_are_neither_made_nor_held_by_git() -> None:
    for dataset in DATASETS:
        stages = stages_for(TARGETS["evaluate"], dataset, ROOT)
        missing = {path for path in outside(stages) if not path.startswith(("semflow/", "stages/"))}
        assert missing == (set() if dataset in EMBEDDED else {str(Folders(dataset).raw)})


def test_stages_that_use_an_accelerator_say_so() -> None:
    # Those whose import closure has torch's devices in it.
    for name, block in GRAPH.items():
        body = block.get("do", block)
        wants = "semflow/networks" in body["deps"]
        copies_weights = name == "backbone"
        assert bool(body.get("meta", {}).get("gpu")) == (wants and not copies_weights), name


def test_every_data_set_has_its_checkpoint_among_the_artifacts() -> None:
    named = {name: entry["path"] for name, entry in DVC_FILES["dvc.yaml"]["artifacts"].items()}
    assert named == {key_of(dataset): str(Folders(dataset).pipeline) for dataset in DATASETS}
