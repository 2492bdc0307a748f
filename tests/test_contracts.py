"""params.yaml, the schema, dvc.yaml, stages/ and their imports say the same."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from flows.graph import GRAPH_FILES
from semflow.params.fields import Block, Part, StageParams
from semflow.schema import DatasetParams, Params
from stages import raw
from stages.entry import Folders
from tools.closure import ROOT, code_of
from tools.write_deps import STUDY

DATASET = "earth"
ITEM = "${item}"
HELPERS = {"__init__", "entry", "launch"}
# Times differ from run to run: no stage's output.
OUTSIDE = {str(Folders(DATASET).runtime)}
Stage = dict[str, Any]

PARAMS: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
BLOCKS_OF_STAGES: dict[str, Stage] = {
    name: stage
    for file in GRAPH_FILES
    for name, stage in YAML(typ="safe").load(ROOT / file)["stages"].items()
}
STAGES = {name: stage.get("do", stage) for name, stage in BLOCKS_OF_STAGES.items()}
EMBEDDED = BLOCKS_OF_STAGES["raw"]["foreach"]
# The report shows a data set's whole block.
WHOLE_BLOCK = {"report"}


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
    return [path for path in paths(stage["deps"]) if not is_code(path)]


def is_code(path: str) -> bool:
    return path.split("/")[0] in ("semflow", "stages")


def with_what_follows(names: set[str]) -> set[str]:
    """Stages and all that read what they make, directly or through others."""
    made = {out for name in names for out in outs_of(STAGES[name])}
    readers = {name for name, stage in STAGES.items() if made & set(data_deps_of(stage))}
    return names if readers <= names else with_what_follows(names | readers)


def parameters_of(stage: str) -> type[StageParams] | None:
    """The groups that a stage's own file names; None for a stage of no data set."""
    hints = get_type_hints(importlib.import_module(f"stages.{stage}").main)
    model: type[StageParams] | None = hints.get("params")
    return model


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
    assert block.model_config.get("extra") == "forbid" or not issubclass(block, Block)
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
    assert unread <= {"SplitStride.train", "SplitStride.val", "SplitStride.test"}


def _has_one_value(annotation: Any) -> bool:
    """Such a field only tells the blocks of a union apart."""
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1


def test_the_stages_of_the_graphs_are_the_files_in_stages() -> None:
    files = {path.stem for path in (ROOT / "stages").glob("*.py")}
    study = YAML(typ="safe").load(ROOT / STUDY)["stages"]
    assert files - HELPERS == STAGES.keys() | study.keys()


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_file_stays_below_forty_lines_and_is_what_the_command_runs(name: str) -> None:
    assert len((ROOT / "stages" / f"{name}.py").read_text("utf-8").splitlines()) < 40
    command = f"python -m stages.launch {name}"
    assert STAGES[name]["cmd"] in (command, f"{command} {ITEM}")


@pytest.mark.parametrize("name", STAGES)
def test_a_stages_code_dependencies_are_the_packages_that_it_imports(name: str) -> None:
    declared = {path for path in paths(STAGES[name]["deps"]) if is_code(path)}
    assert {path for path in declared if not path.endswith(".txt")} == code_of(name)


@pytest.mark.parametrize("name", STAGES)
def test_the_parameters_of_a_stage_are_the_groups_that_its_file_reads(name: str) -> None:
    declared = set(STAGES[name].get("params", []))
    model = parameters_of(name)
    if model is None or name in WHOLE_BLOCK:
        assert declared == ({ITEM} if name in WHOLE_BLOCK else set())
        return
    read = set()
    for group, field in model.model_fields.items():
        annotation = field.annotation
        whole = not isinstance(annotation, type) or issubclass(annotation, Block)
        is_part = not whole and issubclass(annotation, Part)
        fields = annotation.model_fields if is_part else None
        read |= {f"{ITEM}.{group}.{key}" for key in fields} if fields else {f"{ITEM}.{group}"}
    assert declared == read


# For each package: the stages that a change in it runs again; all that follows comes with them.
REACH = {
    "semflow/core": set(STAGES),
    "semflow/params": set(STAGES),
    "semflow/datasets": {"raw", "index", "shards"},
    "semflow/index": {"index", "shards"},
    "semflow/shards": {"shards"},
    "semflow/pseudo_masks": {"pseudo_masks", "mask_latents", "train", "baseline"},
    "semflow/image_latents": {"image_latents"},
    "semflow/mask_latents": {"mask_latents"},
    "semflow/networks": {"autoencoder", "backbone"},
    "semflow/pretraining": {"autoencoder"},
    "semflow/flow": {"train"},
    "semflow/formulations": {"train"},
    "semflow/checkpoint.py": {"train"},
    "semflow/inference": {"train"},
    "semflow/pipeline.py": {"train"},
    "semflow/filmstrip.py": {"report"},
    "semflow/training": {"train", "baseline"},
    "semflow/baselines": {"baseline"},
    "semflow/metrics": {"evaluate"},
    "semflow/evaluation": {"evaluate"},
    "semflow/report": {"report"},
}


@pytest.mark.parametrize("package", REACH)
def test_a_change_in_a_package_runs_its_own_stages_and_what_follows_and_nothing_before(
    package: str,
) -> None:
    changed = {name for name, stage in STAGES.items() if package in paths(stage["deps"])}
    assert with_what_follows(changed) == with_what_follows(REACH[package])


def test_every_package_of_the_library_is_in_the_table_of_what_a_change_runs_again() -> None:
    code = {path for name in STAGES for path in code_of(name) if path.startswith("semflow")}
    assert code == REACH.keys()


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("train.learning_rate", {"train"}),
        ("train.steps", {"train", "baseline"}),
        ("flow.anchor_loss_weight", {"train"}),
        ("flow.posterior", {"train", "baseline"}),
        ("flow.standardise_ends", {"train", "baseline"}),
        ("flow.preconditioning", {"train", "baseline"}),
        ("baseline.color_blur", {"baseline"}),
        ("noise", {"mask_latents", "train"}),
        ("palette", {"pseudo_masks"}),
        ("latents.batch_size", {"image_latents", "mask_latents"}),
        ("latents.mask_noise", {"mask_latents"}),
        ("evaluate", {"evaluate"}),
        ("report", {"report"}),
    ],
)
def test_a_parameter_runs_its_own_stages_and_what_follows_and_nothing_before(
    parameter: str, expected: set[str]
) -> None:
    def covers(declared: str) -> bool:
        own = declared.removeprefix(f"{ITEM}.")
        return (
            own == parameter or parameter.startswith(f"{own}.") or own.startswith(f"{parameter}.")
        )

    changed = {name for name, stage in STAGES.items() if any(map(covers, stage.get("params", [])))}
    # A stage that shows the whole block runs last anyway.
    assert with_what_follows(changed | {"report"}) == with_what_follows(expected | {"report"})


def test_the_paths_of_dvc_yaml_are_those_of_the_stages() -> None:
    named = {path for stage in STAGES.values() for path in outs_of(stage) + data_deps_of(stage)}
    assert named == {str(path) for path in vars(Folders(DATASET)).values()} - OUTSIDE


def test_every_path_is_made_by_exactly_one_stage() -> None:
    made = [path for stage in STAGES.values() for path in outs_of(stage)]
    assert len(made) == len(set(made))
    assert set(made) == {str(path) for path in vars(Folders(DATASET)).values()} - OUTSIDE


# The index notes the raw files' checksums, so that only it depends on the raw tree.
STAND_INS = {"raw": "index"}


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
    tree = str(Folders(DATASET).raw)
    assert [name for name, stage in STAGES.items() if tree in data_deps_of(stage)] == ["index"]


def test_image_latents_do_not_depend_on_the_palette_or_on_anything_later() -> None:
    stage = STAGES["image_latents"]
    assert stage["params"] == [f"{ITEM}.latents.batch_size"]
    made = [f"data/shards/{DATASET}", f"models/{DATASET}/autoencoder"]
    assert sorted(data_deps_of(stage)) == made
    assert "semflow/pseudo_masks" not in code_of("backbone") | code_of("shards")


def test_raw_files_are_fetched_for_the_data_sets_whose_files_the_stage_knows() -> None:
    assert list(raw.KEPT) == EMBEDDED
    assert set(EMBEDDED) <= PARAMS.keys()


def test_text_files_that_stages_depend_on_exist_and_pin_every_package_by_hash() -> None:
    listed = [dep for stage in STAGES.values() for dep in stage["deps"] if dep.endswith(".txt")]
    lists = {path.replace(ITEM, dataset) for path in listed for dataset in EMBEDDED}
    assert len(lists) == len(EMBEDDED) + 1
    for path in lists:
        text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        assert all("==" in line and "--hash=sha256:" in line for line in lines)
