from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.tiny import Command

from tools.closure import ROOT


@pytest.fixture(autouse=True)
def project(workspace: Path) -> Path:
    """The repository's own params.yaml, without data or weights."""
    shutil.copy(ROOT / "params.yaml", workspace)
    return workspace


def test_a_sheet_comes_as_a_table_and_as_json(semflow_command: Command) -> None:
    table = semflow_command("cost", "cityscapes")
    assert table.code == 0
    assert "859,520,964" in table.out
    assert "8 x H100 SXM, training" in table.out
    values = json.loads(semflow_command("cost", "cityscapes", "--json").out)
    assert values["parameters"]["unet"] == 859_520_964
    few = json.loads(semflow_command("cost", "cityscapes", "--json", "--steps", "1").out)
    assert few["flops"]["segment"] < values["flops"]["segment"]
    half = json.loads(semflow_command("cost", "cityscapes", "--json", "--utilisation", "0.2").out)
    assert half["hours"]["A100 SXM"]["training"] > values["hours"]["A100 SXM"]["training"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("cost", "cityscape"), "unknown data set 'cityscape'; did you mean cityscapes?"),
        (("cost", "earth"), "pretrained/earth-autoencoder/config.json"),
    ],
)
def test_what_is_not_known_is_one_line(
    semflow_command: Command, arguments: tuple[str, ...], complaint: str
) -> None:
    result = semflow_command(*arguments)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert complaint in result.err


def test_a_repository_of_unknown_sizes_is_one_line(semflow_command: Command, project: Path) -> None:
    path = project / "params.yaml"
    known = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    path.write_text(path.read_text("utf-8").replace(known, "someone/something"), "utf-8")
    result = semflow_command("cost", "coco_stuff")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "the sizes of someone/something/vae are not known" in result.err
