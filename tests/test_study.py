"""The rows of the study differ in what their recipes say, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.params.rows import ROWS_FILE, Row, read_item_params, read_row, row_block
from semflow.peers.schema import PeerStage
from semflow.schema import DatasetParams, read_params
from semflow.training.stage import TrainStage
from stages.entry import folders_of
from tools.closure import ROOT, code_of
from tools.write_deps import STUDY, is_code

GRAPH = YAML(typ="safe").load(ROOT / STUDY)["stages"]
OWN = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
FILE = YAML(typ="safe").load(ROOT / ROWS_FILE)
PARAMS = read_params(ROOT / "params.yaml")
# What trains and measures peers, which no data set has of its own.
OF_PEERS = ("peer", "evaluate_peer")


def row_of(name: str) -> Row:
    return read_row(name, ROOT / ROWS_FILE)


def params_of(name: str) -> DatasetParams:
    block = row_block(row_of(name), ROOT / "params.yaml", ROOT / "recipes")
    return DatasetParams.model_validate(block)


def filled(path: str, row: Row) -> str:
    """A path or parameter of the graph with a row's names in it."""
    names = {"key": row.name, "item.dataset": row.dataset, "item.masks": row.masks}
    names["item.recipe"] = row.recipe
    for name, value in names.items():
        path = path.replace(f"${{{name}}}", value)
    return path


def paths(entries: list[Any], row: Row) -> set[str]:
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return {filled(name, row) for name in names}


@pytest.mark.parametrize("name", FILE["rows"])
def test_a_row_shares_all_that_is_made_before_its_training(name: str) -> None:
    row, own = params_of(name), PARAMS.dataset(row_of(name).dataset)
    for block in ("index", "shards", "autoencoder", "backbone", "latents", "baseline"):
        assert getattr(row, block) == getattr(own, block), block


@pytest.mark.parametrize("name", FILE["rows"])
def test_a_row_sees_as_many_samples_as_the_data_sets_own_flow(name: str) -> None:
    train, own = params_of(name).train, PARAMS.dataset(row_of(name).dataset).train
    assert (train.steps, train.batch_size) == (own.steps, own.batch_size)


@pytest.mark.parametrize("name", FILE["rows"])
def test_a_row_has_the_colours_of_its_pseudo_masks(name: str) -> None:
    row = row_of(name)
    colored = (
        PARAMS.dataset(row.dataset) if row.masks == row.dataset else params_of(row.masks)
    ).palette
    assert params_of(name).palette == colored


def test_all_rows_are_measured_in_the_same_way_on_test() -> None:
    measured = [params_of(name).evaluate for name in FILE["rows"]]
    assert measured[0].split == "test"
    for one in measured:
        assert one.model_copy(update={"protocol": None}) == measured[0]


def test_the_unperturbed_row_is_the_faithful_one_without_its_noise() -> None:
    for dataset in ("robots", "earth"):
        faithful = params_of(f"{dataset}-faithful").model_dump()
        unperturbed = params_of(f"{dataset}-unperturbed").model_dump()
        assert faithful["noise"].pop("amplitude") == 6
        assert unperturbed["noise"].pop("amplitude") == 0
        assert faithful == unperturbed


def test_seeds_differ_in_the_seed_of_training_alone() -> None:
    for dataset in ("robots", "earth"):
        rows = [params_of(f"{dataset}-semflow-{seed}").model_dump() for seed in (0, 1, 2)]
        assert [row["train"].pop("seed") for row in rows] == [0, 1, 2]
        assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize("stage", [name for name in GRAPH if name not in OF_PEERS])
def test_a_stage_of_a_row_is_that_of_the_data_set_with_the_rows_own_values(stage: str) -> None:
    row, own = row_of("robots-faithful"), OWN[stage]["do"]
    body = GRAPH[stage]["do"]
    assert body["cmd"] == f"python -m stages.launch {stage} ${{key}}"
    assert {dep for dep in body["deps"] if is_code(dep)} == code_of(stage)
    [(file, [key])] = body["params"][-1].items()
    assert (file, filled(key, row).split(".")[0]) == (str(ROWS_FILE), GRAPH[stage]["foreach"][2:-1])
    groups = {name.replace("${item.dataset}", "${item}") for name in body["params"][:-1]}
    assert groups == set(own["params"])
    assert body.get("meta") == own.get("meta")


def test_the_paths_of_the_graph_are_those_of_a_rows_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    row = row_of("robots-faithful")
    folders = {str(path) for path in vars(folders_of(row.name)).values()}
    for stage in ("train", "evaluate"):
        body = GRAPH[stage]["do"]
        data = {path for path in paths(body["deps"], row) if not is_code(path)}
        data.remove(f"recipes/{row.recipe}.yaml")
        made = paths(body["outs"], row) | paths(body.get("metrics", []), row)
        assert data | made <= folders
    made = paths(GRAPH["pseudo_masks"]["do"]["outs"], row_of(row.masks))
    assert made == {str(folders_of(row.name).pseudo_masks)}


@pytest.mark.parametrize("name", FILE["peers"])
def test_a_peer_has_the_shards_the_samples_and_the_measures_of_the_rows(name: str) -> None:
    row, here = row_of(name), (ROOT / "params.yaml", ROOT / "recipes")
    block, own = row_block(row, *here), row_block(row_of(f"{row.dataset}-semflow-0"), *here)
    del block["peer"]
    # Only Adam's betas are its paper's.
    block["train"]["adam_betas"] = own["train"]["adam_betas"]
    assert block == own
    assert PeerStage.model_validate(row_block(row, *here)).train.seed == 0


def test_both_data_sets_have_the_same_peers() -> None:
    found = {
        dataset: {
            name.partition("-")[2]: (entry["peer"], entry["changes"])
            for name, entry in FILE["peers"].items()
            if entry["dataset"] == dataset
        }
        for dataset in ("robots", "earth")
    }
    assert found["robots"] == found["earth"]
    assert found["robots"].keys() == {"maskformer", "spade", "pix2pixhd", "sc-gan", "cyclegan"}


@pytest.mark.parametrize("stage", OF_PEERS)
def test_a_stage_of_a_peer_reads_folders_of_its_data_set_and_no_masks(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    row, body = row_of("robots-spade"), GRAPH[stage]["do"]
    assert GRAPH[stage]["foreach"] == "${peers}"
    assert body["cmd"] == f"python -m stages.launch {stage} ${{key}}"
    assert {dep for dep in body["deps"] if is_code(dep)} == code_of(stage)
    assert body["params"][-1] == {str(ROWS_FILE): ["peers.${key}"]}
    folders = {str(path) for path in vars(folders_of(row.name)).values()}
    data = {path for path in paths(body["deps"], row) if not is_code(path)}
    data.remove(f"recipes/{row.recipe}.yaml")
    made = paths(body.get("outs", []), row) | paths(body.get("metrics", []), row)
    assert data | made <= folders
    assert not any("mask" in path or "pipeline" in path for path in data)


def test_the_flows_stages_do_not_depend_on_the_code_of_peers() -> None:
    assert [name for name in OWN if "semflow/peers" in code_of(name)] == []


def test_an_unknown_row_is_one_line_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"no row 'robots-faithfull'.*robots-faithful"):
        row_of("robots-faithfull")


@pytest.mark.parametrize(
    "text",
    [
        "rows: {robots-a: {dataset: robots}}",
        "rows: {robots-a: 3}",
        "rows: {robots-a: {dataset: a, masks: a, recipe: b, changes: {}, seed: 1}}",
    ],
)
def test_a_row_that_is_not_complete_is_one_line(workspace: Path, text: str) -> None:
    (workspace / "rows.yaml").write_text(text)
    with pytest.raises(UserError, match=r"rows\.robots-a must have exactly dataset, masks"):
        read_row("robots-a", workspace / "rows.yaml")


def test_a_stage_reads_the_values_of_a_row_as_its_recipe_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    faithful = read_item_params("robots-faithful", TrainStage)
    assert faithful.flow.anchor_loss_weight == 0
    assert faithful.noise.amplitude == 6
    assert read_item_params("robots", TrainStage).flow == PARAMS.dataset("robots").flow
