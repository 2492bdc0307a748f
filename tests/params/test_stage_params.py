"""A stage takes its own groups out of params.yaml and looks at no others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from semflow.baselines.schema import BaselineStage
from semflow.core.errors import UserError
from semflow.datasets.schema import IndexStage
from semflow.evaluation.schema import EvaluateStage
from semflow.image_latents.schema import ImageLatentsStage
from semflow.mask_latents.schema import MaskLatentsStage
from semflow.networks.schema import AutoencoderStage, BackboneStage
from semflow.params.fields import StageParams
from semflow.params.reading import read_stage_params
from semflow.pseudo_masks.schema import PseudoMasksStage
from semflow.schema import read_params
from semflow.shards.schema import ShardsStage
from semflow.training.stage import TrainStage
from tools.closure import ROOT

Block = dict[str, Any]
Writer = Callable[..., Path]
EARTH: Block = YAML(typ="safe").load(ROOT / "params.yaml")["earth"]
STAGES = (
    IndexStage,
    ShardsStage,
    PseudoMasksStage,
    AutoencoderStage,
    BackboneStage,
    ImageLatentsStage,
    MaskLatentsStage,
    TrainStage,
    BaselineStage,
    EvaluateStage,
)
EVERY = pytest.mark.parametrize("stage", STAGES)


@pytest.fixture
def block() -> Block:
    """The plain values of the block `earth`, to be spoiled."""
    return copy.deepcopy(EARTH)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes a parameter file with the given blocks."""

    def written(**blocks: object) -> Path:
        path = tmp_path / "params.yaml"
        with path.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"datasets": ["earth"], **blocks}, file)
        return path

    return written


def complaint(path: Path, stage: type[StageParams], dataset: str = "earth") -> str:
    """The error that a stage meets, which must be one line."""
    with pytest.raises(UserError) as refusal:
        read_stage_params(dataset, stage, path)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def taken(part: object, whole: object) -> object:
    """What a whole has of the keys of a part: of some groups a stage takes a part."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return {key: taken(part[key], whole[key]) for key in part}
    return whole


@EVERY
def test_a_stage_reads_what_the_whole_file_says(stage: type[StageParams]) -> None:
    path = ROOT / "params.yaml"
    for name, whole in read_params(path).blocks.items():
        found = read_stage_params(name, stage, path).model_dump()
        for group, values in found.items():
            expected = getattr(whole, group).model_dump()
            assert values
            assert values == taken(values, expected)


@EVERY
def test_other_stages_groups_may_be_broken_missing_or_mistyped(
    block: Block, write: Writer, stage: type[StageParams]
) -> None:
    expected = read_stage_params("earth", stage, write(earth=block))
    for group in block.keys() - stage.model_fields.keys():
        block[group] = {"steps": "many", "lerning_rate": []}
    assert read_stage_params("earth", stage, write(earth=block)) == expected
    own = {group: block[group] for group in stage.model_fields}
    assert read_stage_params("earth", stage, write(earth=own, mars=None)) == expected


@pytest.mark.parametrize(
    ("stage", "group", "mistyped", "nearest"),
    [
        (IndexStage, "index", "latitude", "latitudes"),
        (ShardsStage, "shards", "image_sise", "image_size"),
        (PseudoMasksStage, "palette", "clas_order", "class_order"),
        (AutoencoderStage, "autoencoder", "sha265", "sha256"),
        (MaskLatentsStage, "noise", "sells", "cells"),
        (TrainStage, "flow", "formulasion", "formulation"),
        (TrainStage, "train", "lerning_rate", "learning_rate"),
        (BaselineStage, "baseline", "net_work", "network"),
        (EvaluateStage, "evaluate", "protokol", "protocol"),
    ],
)
def test_an_unknown_key_of_its_own_is_named_with_the_nearest(
    block: Block, write: Writer, stage: type[StageParams], group: str, mistyped: str, nearest: str
) -> None:
    block[group][mistyped] = 1
    assert complaint(write(earth=block), stage) == (
        f"params.yaml: unknown parameter earth.{group}.{mistyped}; did you mean {nearest}?"
    )


def test_a_value_that_does_not_fit_is_named_by_its_path_in_the_file(
    block: Block, write: Writer
) -> None:
    block["index"]["stride"]["val"] = 0
    assert complaint(write(earth=block), IndexStage).startswith(
        "params.yaml: earth.index.stride.val = 0: input should be greater than or equal to 1"
    )
    block["flow"] |= {"probability_at_image": 0.7, "probability_at_mask": 0.7}
    assert complaint(write(earth=block), TrainStage) == (
        "params.yaml: earth.flow: probability_at_image + probability_at_mask = 1.4 exceeds 1"
    )


def test_a_missing_group_is_pointed_to_where_its_mistyped_name_is(
    block: Block, write: Writer
) -> None:
    block["trian"] = block.pop("train")
    assert complaint(write(earth=block), TrainStage) == (
        "params.yaml: missing parameter earth.train; is it trian?"
    )
    block["train"] = block.pop("trian")
    del block["noise"]
    assert complaint(write(earth=block), TrainStage) == (
        "params.yaml: missing parameter earth.noise; add it"
    )


def test_a_missing_key_of_a_part_is_pointed_to_where_its_mistyped_name_is(
    block: Block, write: Writer
) -> None:
    # The baseline takes a part of the group, so that the mistyped name is no misfit of its own.
    block["train"]["stpes"] = block["train"].pop("steps")
    assert complaint(write(earth=block), BaselineStage) == (
        "params.yaml: missing parameter earth.train.steps; is it stpes?"
    )


def test_the_baseline_does_not_look_at_the_flows_learning_rate(block: Block, write: Writer) -> None:
    before = read_stage_params("earth", BaselineStage, write(earth=block))
    block["train"]["learning_rate"] = "fast"
    assert read_stage_params("earth", BaselineStage, write(earth=block)) == before
    assert "earth.train.learning_rate = 'fast'" in complaint(write(earth=block), TrainStage)


@pytest.mark.parametrize("nothing", [None, [], "text", 3])
def test_a_block_that_is_no_mapping_is_named(write: Writer, nothing: object) -> None:
    assert complaint(write(earth=nothing), TrainStage) == (
        "params.yaml: earth is no mapping; give it the blocks of a data set"
    )


def test_an_unknown_data_set_is_answered_with_the_known_ones(block: Block, write: Writer) -> None:
    # A copy: the same object twice would be written as an alias.
    path = write(earth=block, mars=copy.deepcopy(block))
    assert complaint(path, IndexStage, "erth") == "unknown data set 'erth'; did you mean earth?"
    assert complaint(path, IndexStage, "xyz") == "unknown data set 'xyz'; known are earth, mars"
    assert "unknown data set 'datasets'; " in complaint(path, IndexStage, "datasets")


def test_a_file_that_is_absent_or_no_yaml_or_no_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert complaint(path, IndexStage).endswith("not found; run from the repository's root")
    path.write_text("earth: [1", encoding="utf-8")
    assert "params.yaml is not YAML: " in complaint(path, IndexStage)
    path.write_text("- earth", encoding="utf-8")
    assert "params.yaml holds no mapping; " in complaint(path, IndexStage)


def test_groups_cannot_be_changed_once_read() -> None:
    params = read_stage_params("earth", TrainStage, ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.train = params.train
    with pytest.raises(ValueError, match="frozen"):
        params.train.steps = 1
