"""Recipes: what each changes, that it fits, and that `faithful` takes all of it back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.params.recipes import ALL, RECIPES, merge, overrides_for, read_recipe
from semflow.schema import validate_params
from tools.closure import ROOT

Block = dict[str, Any]

FOLDER = ROOT / RECIPES
PARAMS: Block = YAML(typ="safe").load(ROOT / "params.yaml")
DATASETS = [name for name in PARAMS if name != "datasets"]
EMBEDDED = ["earth", "robots"]
PAPER = ["cityscapes", "celebamask_hq", "coco_stuff"]
FILES: dict[str, Block] = {
    path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))
}
SERVED = [
    (recipe, dataset)
    for recipe, parts in FILES.items()
    for dataset in (DATASETS if ALL in parts else parts)
]
"""Every recipe with every data set of params.yaml that it is for."""


def used(block: Block, *recipes: str, dataset: str) -> Block:
    """The block after recipes, one after another."""
    changed = copy.deepcopy(block)
    for recipe in recipes:
        merge(changed, overrides_for(FILES[recipe], recipe, dataset))
    return changed


def leaves(block: Mapping[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    """The paths of all values that are no mappings."""
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from leaves(value, *path, key)
        else:
            yield (*path, key)


def at(block: Block, path: tuple[str, ...]) -> object:
    """The value at a path; None where the block has another kind of thing there."""
    value: object = block
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def validate(dataset: str, block: Block) -> None:
    """Holds the whole file with one block replaced against the schema."""
    validate_params(PARAMS | {dataset: block}, "params.yaml")


def test_recipes_are_for_all_data_sets_or_for_known_ones() -> None:
    assert {"smoke", "faithful", "improved", "long", "train-autoencoder"} <= FILES.keys()
    for parts in FILES.values():
        assert parts.keys() <= {ALL, *DATASETS}
    assert [dataset for recipe, dataset in SERVED if recipe == "faithful"] == DATASETS


@pytest.mark.parametrize(("recipe", "dataset"), SERVED)
def test_a_recipe_fits_the_schema_of_every_data_set_it_is_for(recipe: str, dataset: str) -> None:
    validate(dataset, used(PARAMS[dataset], recipe, dataset=dataset))
    validate(dataset, used(PARAMS[dataset], "faithful", recipe, dataset=dataset))
    validate(dataset, used(PARAMS[dataset], recipe, "faithful", dataset=dataset))


@pytest.mark.parametrize(("recipe", "dataset"), SERVED)
def test_a_recipe_adds_no_group_to_a_block(recipe: str, dataset: str) -> None:
    assert read_recipe(recipe, dataset, FOLDER).keys() <= PARAMS[dataset].keys()


@pytest.mark.parametrize(("recipe", "dataset"), SERVED)
def test_the_faithful_recipe_restores_every_key_that_another_one_touches(
    recipe: str, dataset: str
) -> None:
    faithful = read_recipe("faithful", dataset, FOLDER)
    afterwards = used(PARAMS[dataset], recipe, "faithful", dataset=dataset)
    assert afterwards == used(PARAMS[dataset], "faithful", dataset=dataset)
    for path in leaves(faithful):
        assert at(afterwards, path) == at(faithful, path)


@pytest.mark.parametrize("dataset", PAPER)
def test_the_committed_blocks_of_the_papers_data_sets_are_faithful(dataset: str) -> None:
    assert used(PARAMS[dataset], "faithful", dataset=dataset) == PARAMS[dataset]


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_the_committed_block_of_an_embedded_data_set_is_the_improved_one(dataset: str) -> None:
    block = PARAMS[dataset]
    faithful = used(block, "faithful", dataset=dataset)
    assert faithful != block
    assert used(faithful, "improved", dataset=dataset) == block
    assert used(block, "improved", dataset=dataset) == block


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_faithful_has_the_papers_method_and_a_laptops_networks(dataset: str) -> None:
    block = used(PARAMS[dataset], "faithful", dataset=dataset)
    for group in ("palette", "noise"):
        assert block[group] == PARAMS["cityscapes"][group]
    # The shipped autoencoder's posterior was never trained; the paper leaves open what is drawn.
    assert block["flow"] == {**PARAMS["cityscapes"]["flow"], "posterior": "mode"}
    for group in ("autoencoder", "backbone", "index", "shards"):
        assert block[group] == PARAMS[dataset][group]


@pytest.mark.parametrize("dataset", DATASETS)
def test_faithful_turns_off_all_that_the_paper_does_not_have(dataset: str) -> None:
    on = copy.deepcopy(PARAMS[dataset])
    on["flow"] |= {
        "probability_at_image": 0.2,
        "probability_at_mask": 0.1,
        "t_power": 2.0,
        "bridge_noise": 0.5,
        "own_states": {"share": 0.5, "until": 1.0, "max_steps": 4},
        "standardise_ends": True,
        "padding_mode": "reflect",
        "preconditioning": {"samples": 8, "loss_power": 1.0},
        "anchor_loss_weight": 1.0,
        "anchor_states": "all",
        "correction_weight": 1.0,
        "ignored": "masked",
    }
    on["noise"] = {"amplitude": 1.0, "cells": [1, 4, 16], "shares": [0.5, 0.25, 0.25], "latents": 1}
    on["inference"] |= {"grid_power": 2.0, "last_step_from": 0.5}
    block = used(on, "faithful", dataset=dataset)
    off = {
        "probability_at_image": 0.0,
        "probability_at_mask": 0.0,
        "t_power": 1.0,
        "bridge_noise": 0.0,
        "own_states": None,
        "standardise_ends": False,
        "padding_mode": "zeros",
        "preconditioning": None,
        "anchor_loss_weight": 0.0,
        "anchor_states": "image",
        "correction_weight": 0.0,
        "ignored": "supervised",
    }
    assert {key: block["flow"][key] for key in off} == off
    assert block["noise"] == {"amplitude": 6.0, "cells": [1], "shares": [1.0], "latents": 0.0}
    assert block["inference"]["grid_power"] == 1.0
    assert block["inference"]["last_step_from"] is None
    # Whatever is added to the block has to be thought of here.
    settings = {"formulation", "posterior", "velocity_loss_weight", "anchor_temperature"}
    assert block["flow"].keys() == off.keys() | settings


@pytest.mark.parametrize(("recipe", "dataset"), SERVED)
def test_a_recipe_used_twice_changes_nothing_more(recipe: str, dataset: str) -> None:
    once = used(PARAMS[dataset], recipe, dataset=dataset)
    assert used(once, recipe, dataset=dataset) == once


@pytest.mark.parametrize("recipe", [name for name, parts in FILES.items() if ALL in parts])
def test_the_part_for_all_serves_a_data_set_of_the_users_own_name(recipe: str) -> None:
    own = {
        "reader": "folder",
        "classes": [{"name": "sky", "color": [90, 160, 230], "id": 7}],
        "mirrored": [],
        "ignore_ids": [],
        "background": None,
        "max_rejects": 0,
    }
    overrides = read_recipe(recipe, "my_photos", FOLDER)
    assert overrides == FILES[recipe][ALL]
    # No path of raw files and no class of a known data set in what is for all.
    assert "index" not in overrides
    block = used(PARAMS["coco_stuff"] | {"index": own}, recipe, dataset="my_photos")
    validate("my_photos", block)
    assert used(block, "faithful", dataset="my_photos") == used(
        PARAMS["coco_stuff"] | {"index": own}, "faithful", dataset="my_photos"
    )


def test_what_differs_by_data_set_comes_after_what_is_for_all() -> None:
    recipe = {
        ALL: {"noise": {"amplitude": 1.0, "latents": 2}},
        "mars": {"noise": {"amplitude": 3.0}},
    }
    before = copy.deepcopy(recipe)
    assert overrides_for(recipe, "x", "mars") == {"noise": {"amplitude": 3.0, "latents": 2}}
    assert overrides_for(recipe, "x", "venus") == {"noise": {"amplitude": 1.0, "latents": 2}}
    assert recipe == before


def test_a_union_that_a_data_set_has_otherwise_is_taken_whole() -> None:
    recipe = {
        ALL: {"backbone": {"source": "hub", "repo_id": "a/b"}},
        "mars": {"backbone": {"source": "scratch", "seed": 0}},
    }
    assert overrides_for(recipe, "x", "mars") == {"backbone": {"source": "scratch", "seed": 0}}


def test_unknown_recipes_and_data_sets_are_answered_in_one_line() -> None:
    with pytest.raises(UserError) as refusal:
        read_recipe("smok", "earth", FOLDER)
    assert str(refusal.value) == "unknown recipe 'smok'; did you mean smoke?"
    with pytest.raises(UserError, match=r"unknown recipe '\.\./params'; (did|known) "):
        read_recipe("../params", "earth", FOLDER)
    with pytest.raises(UserError) as refusal:
        read_recipe("long", "mars", FOLDER)
    assert str(refusal.value) == "recipe 'long' is for earth, robots, not for 'mars'"


@pytest.mark.parametrize("nothing", ["", "[]", "3"])
@pytest.mark.parametrize("part", [ALL, "earth"])
def test_a_part_that_is_no_mapping_is_named(tmp_path: Path, part: str, nothing: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"{part}: {nothing}\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"recipe 'mine': {part} is no mapping; give it blocks"):
        read_recipe("mine", "earth", tmp_path)


def test_merging_replaces_values_and_keeps_the_rest() -> None:
    block = {"a": 1, "b": {"c": 2, "d": [3]}}
    merge(block, {"b": {"d": [4, 5]}, "e": 6})
    assert block == {"a": 1, "b": {"c": 2, "d": [4, 5]}, "e": 6}


def test_merging_another_kind_of_a_union_replaces_it_whole() -> None:
    block = {"palette": {"scheme": "spread", "class_order": [0]}}
    merge(block, {"palette": {"class_order": [1, 0]}})
    assert block == {"palette": {"scheme": "spread", "class_order": [1, 0]}}
    merge(block, {"palette": {"scheme": "base_k", "k": 6}})
    assert block == {"palette": {"scheme": "base_k", "k": 6}}


def test_a_block_shares_nothing_with_the_recipe_that_was_merged_into_it() -> None:
    overrides = {"evaluate": {"steps": [1, 2]}}
    block: Block = {"evaluate": {}}
    merge(block, overrides)
    block["evaluate"]["steps"].append(3)
    assert overrides == {"evaluate": {"steps": [1, 2]}}
