from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny import tiny_pipeline
from support.tiny_data import flip_a_byte

from semflow.checkpoint import INDEX
from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json
from semflow.core.seals import seal
from semflow.networks.sources import WEIGHTS
from semflow.pipeline import load_pipeline


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    tiny_pipeline().save_pretrained(tmp_path)
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        load_pipeline(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("_class_name", "StableDiffusionPipeline", "_class_name"),
        ("_class_name", None, "_class_name"),
        ("anchors", [], "anchors"),
        ("image_size", [], "image_size"),
        ("image_size", [16, 0], "image_size"),
        ("noise_cells", [0], "noise_cells"),
        ("noise_shares", [2.0], "noise_shares"),
        ("noise_shares", [0.5], "noise_shares must be as many"),
        ("class_names", ["one"], "class_names has 1 items"),
        ("padding_mode", "odd", "padding_mode"),
        ("unet", ["os", "system"], "unet is of class os.system; known are"),
        ("vae", ["diffusers", "UNet2DConditionModel"], "vae is of class"),
    ],
)
def test_an_index_that_does_not_fit_is_one_line_that_names_the_key(
    checkpoint: Path, key: str, value: Any, said: str
) -> None:
    write_json(checkpoint / INDEX, {**read_json(checkpoint / INDEX), key: value})
    assert said in refusal(checkpoint)


def test_colours_that_are_no_numbers_are_refused(checkpoint: Path) -> None:
    text = (checkpoint / INDEX).read_text("utf-8")
    start = text.index("[", text.index('"anchors"') + len('"anchors": ['))
    (checkpoint / INDEX).write_text(f"{text[:start]}[NaN,0,0],{text[start:]}", "utf-8")
    assert "anchors" in refusal(checkpoint)


@pytest.mark.parametrize("change", ["lacks", "has an unexpected"])
def test_a_tensor_too_few_or_too_many_is_refused(checkpoint: Path, change: str) -> None:
    path = checkpoint / "unet" / WEIGHTS
    tensors = load_file(path)
    if change == "lacks":
        del tensors["conv_in.weight"]
    else:
        tensors["stranger"] = torch.zeros(1)
    save_file(tensors, path, metadata={"format": "pt"})
    assert f"{path} {change} tensor" in refusal(checkpoint)


def test_a_component_without_its_configuration_is_missing_and_not_looked_up(
    checkpoint: Path,
) -> None:
    (checkpoint / "vae" / "config.json").unlink()
    assert "config.json is missing" in refusal(checkpoint)


def test_an_index_of_weights_beside_a_components_file_is_refused(checkpoint: Path) -> None:
    write_json(checkpoint / "vae" / f"{WEIGHTS}.index.json", {"weight_map": {}})
    assert "names other weights" in refusal(checkpoint)


def test_a_sealed_checkpoint_with_a_flipped_bit_is_refused(checkpoint: Path) -> None:
    seal(checkpoint)
    load_pipeline(checkpoint)
    flip_a_byte(checkpoint / "unet" / WEIGHTS)
    assert f"unet/{WEIGHTS} was altered" in refusal(checkpoint)
