from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML
from support.closure import ROOT

from flows.parameters import edited_params, nested, with_dataset
from semflow.core.errors import UserError

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")


def values(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(text)
    return found


def test_dotted_and_nested_overrides_are_the_same() -> None:
    dotted = {"train.steps": 7, "train.seed": 3, "palette": {"noise_cell": 2}}
    block = {"train": {"steps": 7, "seed": 3}, "palette": {"noise_cell": 2}}
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
    after = values(edited_params(TEXT, "cityscapes", "smoke", {"train.steps": 5}))
    assert after["datasets"] == ["cityscapes"]
    smoke = before["recipes"]["smoke"]["cityscapes"]
    assert after["cityscapes"]["train"] == {
        **before["cityscapes"]["train"],
        **smoke["train"],
        "steps": 5,
    }
    assert after["recipes"] == before["recipes"]
    assert after["earth"] == before["earth"]


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
    ("dataset", "recipe", "overrides", "said"),
    [
        ("celebamask-hq", None, {}, "did you mean celebamask_hq"),
        ("recipes", None, {}, "unknown data set 'recipes'"),
        ("earth", "smok", {}, "did you mean smoke"),
        ("earth", "faithful", {}, "is for cityscapes, celebamask_hq, coco_stuff, not for 'earth'"),
        ("earth", None, {"train.step": 1}, "did you mean steps"),
        ("earth", None, {"train.steps": 0}, "train.steps = 0"),
        ("earth", None, {"train.steps": "12"}, "train.steps = '12'"),
        ("earth", None, {"earth.train.steps": 1}, "unknown parameter earth.earth"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(
    dataset: str, recipe: str | None, overrides: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        edited_params(TEXT, dataset, recipe, overrides)


def test_a_past_file_is_taken_as_it_is_even_if_todays_schema_has_changed() -> None:
    past = "datasets: [mars, earth] # both\nrecipes: {}\nearth: {old_block: 1}\nmars: {}\n"
    assert values(with_dataset(past, "earth")) == {**values(past), "datasets": ["earth"]}
    with pytest.raises(UserError, match="unknown data set 'venus'"):
        with_dataset(past, "venus")
