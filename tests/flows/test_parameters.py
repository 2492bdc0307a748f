from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.flows_project import sh

from flows.parameters import edited_params, nested, recipe_at, with_dataset
from semflow.core.errors import UserError
from semflow.params.recipes import read_recipe
from tools.closure import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def values(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(text)
    return found


def test_dotted_and_nested_overrides_are_the_same() -> None:
    dotted = {"train.steps": 7, "train.seed": 3, "noise": {"latents": 2}}
    block = {"train": {"steps": 7, "seed": 3}, "noise": {"latents": 2}}
    assert nested(dotted) == nested(block) == block
    assert edited_params(TEXT, "earth", None, dotted) == edited_params(TEXT, "earth", None, block)


@pytest.mark.parametrize(
    "overrides", [{"train": 1, "train.steps": 2}, {"train": 1, "train.x.y": 2}]
)
def test_an_override_that_is_a_value_and_a_block_is_refused(overrides: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="override 'train"):
        nested(overrides)


def test_overrides_go_over_the_recipe_and_leave_all_else() -> None:
    before = values(TEXT)
    recipe = {"train": {"steps": 9, "batch_size": 4}}
    after = values(edited_params(TEXT, "cityscapes", recipe, {"train.steps": 5}))
    assert after["datasets"] == ["cityscapes"]
    changed = {**before["cityscapes"]["train"], "batch_size": 4, "steps": 5}
    assert after["cityscapes"] == {**before["cityscapes"], "train": changed}
    assert after["earth"] == before["earth"]


def test_a_recipe_is_the_commits_and_not_that_of_the_working_tree(project: Path) -> None:
    commit = sh(project, "git", "rev-parse", "HEAD")
    noted = recipe_at(project, commit, "smoke", "earth")
    assert noted == read_recipe("smoke", "earth", ROOT / "recipes")
    (project / "recipes" / "smoke.yaml").write_text("all: {train: {steps: 1}}", encoding="utf-8")
    (project / "recipes" / "new.yaml").write_text("all: {}", encoding="utf-8")
    assert recipe_at(project, commit, "smoke", "earth") == noted
    with pytest.raises(UserError, match="unknown recipe 'new'"):
        recipe_at(project, commit, "new", "earth")


@pytest.mark.parametrize("name", ["smok", "--all", "../params", "smoke.yaml", "Smoke", ""])
def test_what_is_no_recipes_name_is_refused_with_the_nearest(project: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"unknown recipe .*; (did you mean|known are) "):
        recipe_at(project, "HEAD", name, "earth")


def test_a_recipe_that_is_not_for_a_data_set_or_is_no_yaml_is_refused(project: Path) -> None:
    for name, text in {"smoke": "{", "long": "- 1", "faithful": "mars: {}"}.items():
        (project / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")
    sh(project, "git", "commit", "-q", "-a", "-m", "broken")
    with pytest.raises(UserError, match="is for mars, not for 'earth'"):
        recipe_at(project, "HEAD", "faithful", "earth")
    with pytest.raises(UserError, match=r"recipes/smoke\.yaml is not YAML"):
        recipe_at(project, "HEAD", "smoke", "earth")
    with pytest.raises(UserError, match=r"recipes/long\.yaml holds no mapping"):
        recipe_at(project, "HEAD", "long", "earth")


def test_nothing_asked_for_leaves_the_file_to_the_byte() -> None:
    assert values(TEXT)["datasets"] == ["earth"]
    assert edited_params(TEXT, "earth", None, {}) == TEXT
    assert with_dataset(TEXT, "earth") == TEXT


def test_comments_stay() -> None:
    edited = edited_params(TEXT, "earth", None, {"train.steps": 5})
    assert [line for line in TEXT.splitlines() if "#" in line] == [
        line for line in edited.splitlines() if "#" in line
    ]


@pytest.mark.parametrize(
    ("dataset", "overrides", "said"),
    [
        ("celebamask-hq", {}, "did you mean celebamask_hq"),
        ("datasets", {}, "unknown data set 'datasets'"),
        ("earth", {"train.step": 1}, "did you mean steps"),
        ("earth", {"train.steps": 0}, "train.steps = 0"),
        ("earth", {"train.steps": "12"}, "train.steps = '12'"),
        ("earth", {"earth.train.steps": 1}, "unknown parameter earth.earth"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(
    dataset: str, overrides: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        edited_params(TEXT, dataset, None, overrides)


def test_a_past_file_is_taken_as_it_is_even_if_todays_schema_has_changed() -> None:
    past = "datasets: [mars, earth] # both\nrecipes: {}\nearth: {old_block: 1}\nmars: {}\n"
    assert values(with_dataset(past, "earth")) == {**values(past), "datasets": ["earth"]}
    with pytest.raises(UserError, match="unknown data set 'venus'"):
        with_dataset(past, "venus")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "params.yaml is not YAML"),
        ("- 1", "params.yaml holds no mapping"),
        ("earth: {}", "datasets is no list"),
        ("earth: {}\ndatasets: earth", "datasets is no list"),
    ],
)
def test_a_past_file_that_cannot_be_taken_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        with_dataset(text, "earth")
    assert "\n" not in str(raised.value)
