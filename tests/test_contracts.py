"""params.yaml, the schema, dvc.yaml, stages/ and their imports say the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML
from support.closure import ROOT, closure

import semflow.baselines.train
import semflow.training.flow
from semflow.schema import DatasetParams, Params
from stages.entry import Folders

DATASET = "earth"
ITEM = "${item}"
HELPERS = {"__init__", "entry"}
# Times differ from run to run: no stage's output.
OUTSIDE = {str(Folders(DATASET).runtime)}
Stage = dict[str, Any]

PARAMS: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
STAGES: dict[str, Stage] = {
    name: stage.get("do", stage)
    for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The blocks that a field's annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def all_blocks(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and every block below it."""
    yield model
    for field in model.model_fields.values():
        for block in models_in(field.annotation):
            yield from all_blocks(block)


BLOCKS = sorted(set(all_blocks(DatasetParams)), key=lambda block: block.__name__)


def member_for(annotation: Any, value: dict[str, Any]) -> type[BaseModel]:
    """The member of a union that has exactly the keys of a value, and its tags."""
    fitting = [
        model
        for model in models_in(annotation)
        if model.model_fields.keys() == value.keys()
        and all(
            value[name] in get_args(field.annotation)
            for name, field in model.model_fields.items()
            if _has_one_value(field.annotation)
        )
    ]
    assert len(fitting) == 1, f"{value} fits {fitting}"
    return fitting[0]


def compare_keys(model: type[BaseModel], value: dict[str, Any], where: str) -> None:
    assert model.model_fields.keys() == value.keys(), where
    for name, field in model.model_fields.items():
        if list(models_in(field.annotation)):
            if value[name] is None:
                assert type(None) in get_args(field.annotation), f"{where}.{name}"
                continue
            for item in value[name] if isinstance(value[name], list) else [value[name]]:
                block = member_for(field.annotation, item)
                compare_keys(block, item, f"{where}.{name}")


def paths(entries: list[Any]) -> list[str]:
    """Paths of deps, outs or metrics; an entry with options is a mapping of one key."""
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [name.replace(ITEM, DATASET) for name in names]


def outs_of(stage: Stage) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in paths(stage.get(kind, []))]


def data_deps_of(stage: Stage) -> list[str]:
    return [path for path in paths(stage["deps"]) if Path(path).suffix not in (".py", ".txt")]


def attributes_of(tree: ast.AST, owner: str) -> set[str]:
    """Names read from a variable: `owner.name`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == owner
    }


def test_every_block_of_params_yaml_has_exactly_the_keys_of_the_schema() -> None:
    blocks = PARAMS.keys() - Params.model_fields.keys()
    assert len(blocks) > 1
    for name in blocks:
        compare_keys(DatasetParams, PARAMS[name], name)


@pytest.mark.parametrize("block", BLOCKS)
def test_no_block_of_the_schema_has_a_default_or_takes_other_keys(block: type[BaseModel]) -> None:
    assert [name for name, field in block.model_fields.items() if not field.is_required()] == []
    assert block.model_config.get("extra") == "forbid"
    assert block.model_config.get("frozen") is True


def test_every_field_of_the_schema_is_read_somewhere() -> None:
    read = {
        node.attr
        for folder in ("semflow", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    unread = {
        f"{block.__name__}.{name}"
        for block in BLOCKS
        for name, field in block.model_fields.items()
        if name not in read and not _has_one_value(field.annotation)
    }
    # A split's stride is looked up by name.
    assert unread <= {"SplitStride.train", "SplitStride.val"}


def _has_one_value(annotation: Any) -> bool:
    """Such a field only tells the blocks of a union apart."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def test_the_stages_of_dvc_yaml_are_the_files_in_stages() -> None:
    files = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert files - HELPERS == STAGES.keys()


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_file_stays_below_forty_lines_and_is_what_the_command_runs(name: str) -> None:
    assert len((ROOT / "stages" / f"{name}.py").read_text("utf-8").splitlines()) < 40
    command = f"$SEMFLOW_LAUNCH python -m stages.{name}"
    assert STAGES[name]["cmd"] in (command, f"{command} {ITEM}")


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_code_dependencies_are_its_import_closure(name: str) -> None:
    declared = [dep for dep in STAGES[name]["deps"] if str(dep).endswith(".py")]
    assert sorted(declared) == sorted(str(path) for path in closure(f"stages.{name}"))


@pytest.mark.parametrize("name", STAGES)
def test_the_parameters_of_a_stage_exist_in_the_schema(name: str) -> None:
    for listed in STAGES[name].get("params", []):
        item, *parts = listed.split(".")
        assert item == ITEM
        candidates: list[type[BaseModel]] = [DatasetParams]
        for part in parts:
            fields = [m.model_fields[part] for m in candidates if part in m.model_fields]
            assert fields, f"{listed} is not in the schema"
            candidates = [block for field in fields for block in models_in(field.annotation)]


@pytest.mark.parametrize("name", STAGES)
def test_the_parameters_that_a_stage_file_reads_are_declared(name: str) -> None:
    tree = ast.parse((ROOT / "stages" / f"{name}.py").read_text("utf-8"))
    declared = [listed.split(".")[1:] for listed in STAGES[name].get("params", [])]
    top_level = {parts[0] if parts else "*" for parts in declared}
    assert "*" in top_level or attributes_of(tree, "params") <= top_level


def test_the_baseline_depends_on_all_of_train_but_its_learning_rate() -> None:
    # The other optimiser settings are the flow's own; a new rate for the flow changes no baseline.
    listed = {
        name.removeprefix(f"{ITEM}.train.")
        for name in STAGES["baseline"]["params"]
        if name.startswith(f"{ITEM}.train.")
    }
    train = DatasetParams.model_fields["train"].annotation
    assert isinstance(train, type)
    assert issubclass(train, BaseModel)
    assert listed == set(train.model_fields) - {"learning_rate"}


@pytest.mark.parametrize(
    ("name", "included"),
    [("train", semflow.training.flow.PARAMETERS), ("baseline", semflow.baselines.train.PARAMETERS)],
)
def test_the_parameters_in_a_models_provenance_are_those_that_make_its_stage_stale(
    name: str, included: dict[str, Any]
) -> None:
    noted = set()
    for block, fields in included.items():
        noted |= {block} if fields is True else {f"{block}.{field}" for field in fields}
    assert {f"{ITEM}.{path}" for path in noted} == set(STAGES[name]["params"])


def test_the_paths_of_dvc_yaml_are_those_of_the_stages() -> None:
    named = {path for stage in STAGES.values() for path in outs_of(stage) + data_deps_of(stage)}
    assert named == {str(path) for path in vars(Folders(DATASET)).values()} - OUTSIDE


def test_every_path_is_made_by_exactly_one_stage() -> None:
    made = [path for stage in STAGES.values() for path in outs_of(stage)]
    assert len(made) == len(set(made))
    assert set(made) == {str(path) for path in vars(Folders(DATASET)).values()} - OUTSIDE


# What a stage may read through another dependency: the index notes the raw files' checksums, and
# the digests those of images and labels, so that another palette does not make them stale.
STAND_INS = {"raw": "index", "shards": "digests"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_touches_no_folder_that_neither_it_nor_a_stand_in_declares(name: str) -> None:
    tree = ast.parse((ROOT / "stages" / f"{name}.py").read_text("utf-8"))
    folders = {attribute: str(path) for attribute, path in vars(Folders(DATASET)).items()}
    declared = set(data_deps_of(STAGES[name]) + outs_of(STAGES[name]))
    for attribute in attributes_of(tree, "folders"):
        stand_in = folders.get(STAND_INS.get(attribute, ""))
        assert folders[attribute] in declared or stand_in in declared
    if STAGES[name]["cmd"].endswith(ITEM):
        assert set(outs_of(STAGES[name])) <= {folders[a] for a in attributes_of(tree, "folders")}


def test_no_stage_after_the_index_depends_on_the_raw_tree() -> None:
    raw = str(Folders(DATASET).raw)
    assert [name for name, stage in STAGES.items() if raw in data_deps_of(stage)] == ["index"]


def test_image_latents_do_not_depend_on_the_palette_or_on_anything_later() -> None:
    stage = STAGES["image_latents"]
    assert stage["params"] == [f"{ITEM}.latents.batch_size"]
    assert sorted(data_deps_of(stage)) == [
        f"data/digests/{DATASET}.json",
        f"models/{DATASET}/autoencoder",
    ]


def test_text_files_that_stages_depend_on_exist_and_pin_every_package_by_hash() -> None:
    lists = [path for stage in STAGES.values() for path in paths(stage["deps"]) if ".txt" in path]
    assert lists
    for path in lists:
        text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        assert all("==" in line and "--hash=sha256:" in line for line in lines)
