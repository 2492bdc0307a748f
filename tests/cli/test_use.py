from __future__ import annotations

import copy
import re
import shutil
import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support.tiny import Command

from semflow.schema import read_params
from tools.closure import ROOT

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def project(workspace: Path) -> Path:
    """The repository's own params.yaml and recipes, to change."""
    shutil.copy(ROOT / "params.yaml", workspace)
    shutil.copytree(ROOT / "recipes", workspace / "recipes")
    return workspace


def comments(text: str) -> set[str]:
    """Whole-line comments."""
    return set(re.findall(r"^ *(#.*)$", text, re.MULTILINE))


@pytest.mark.usefixtures("project")
def test_a_recipes_values_for_all_and_for_the_data_set_take_their_places(
    semflow_command: Command,
) -> None:
    before = read_params()
    assert semflow_command("use", "smoke", "cityscapes").code == 0
    after = read_params()
    block = after.dataset("cityscapes")
    assert block.shards.image_size == (32, 64)
    assert (block.train.steps, block.train.batch_size) == (12, 8)
    assert block.autoencoder.source == "folder"
    assert block.palette == before.dataset("cityscapes").palette
    assert after.dataset("earth") == before.dataset("earth")


def lines_of_lists(text: str) -> set[str]:
    """The lines that are an item of a list."""
    return set(re.findall(r"^ *- .*$", text, re.MULTILINE))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_keeps_the_files_comments_and_brings_none_of_its_own(
    semflow_command: Command, project: Path, recipe: str
) -> None:
    before = (project / "params.yaml").read_text("utf-8")
    assert semflow_command("use", recipe, "earth").code == 0
    after = (project / "params.yaml").read_text("utf-8")
    assert comments(after) <= comments(before)
    # A comment goes only with the key above which it stands.
    assert len(comments(before) - comments(after)) <= 2
    # What a recipe brings is written in one line; the file's own lists stay as they are.
    assert lines_of_lists(after) <= lines_of_lists(before)
    assert semflow_command("use", recipe, "earth").code == 0
    assert (project / "params.yaml").read_text("utf-8") == after


def test_a_recipe_serves_a_data_set_that_it_does_not_know(
    semflow_command: Command, project: Path
) -> None:
    values = YAML().load(project / "params.yaml")
    # A copy: the same object twice would be written as an alias.
    values["rooms"] = copy.deepcopy(values["cityscapes"])
    YAML().dump(values, project / "params.yaml")
    assert semflow_command("use", "smoke", "rooms").code == 0
    assert read_params().dataset("rooms").train.steps == 12


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("smok", "earth"), "unknown recipe 'smok'; did you mean smoke?"),
        (("smoke", "eart"), "unknown data set 'eart'; did you mean earth?"),
        (("long", "cityscapes"), "recipe 'long' is for earth, robots, not for 'cityscapes'"),
        (("cut", "earth"), "cut.yaml is not YAML"),
        (("odd", "earth"), "recipe odd for earth: unknown parameter earth.train.stpes"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_the_file_alone(
    semflow_command: Command, project: Path, arguments: tuple[str, str], complaint: str
) -> None:
    (project / "recipes" / "cut.yaml").write_text("earth: {train: [", "utf-8")
    (project / "recipes" / "odd.yaml").write_text("earth: {train: {stpes: 3}}", "utf-8")
    before = (project / "params.yaml").read_bytes()
    result = semflow_command("use", *arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert complaint in result.err
    assert (project / "params.yaml").read_bytes() == before
    assert {path.name for path in project.iterdir()} == {"params.yaml", "recipes"}


@pytest.mark.usefixtures("workspace")
def test_outside_of_a_project_it_says_where_to_run(semflow_command: Command) -> None:
    result = semflow_command("use", "smoke", "earth")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_the_file_is_whole_at_every_moment(semflow_command: Command, project: Path) -> None:
    first = (project / "params.yaml").stat().st_ino
    kept = (project / "params.yaml").open("rb")
    assert semflow_command("use", "smoke", "earth").code == 0
    # The open file still holds the whole old text: the new one came by a rename.
    assert (project / "params.yaml").stat().st_ino != first
    assert kept.read() == (ROOT / "params.yaml").read_bytes()
    assert stat.S_ISREG((project / "params.yaml").stat().st_mode)
