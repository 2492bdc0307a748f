from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.hf_api
import numpy as np
import pytest
from PIL import Image
from support.fake_hub import Repos, fake_hub
from support.tiny import TinyDataset, random_label
from support.tiny_data import CLASSES, SIZE

from semflow.card.folder import CardInputs, push_folder, write_card_folder
from semflow.card.origins import ORIGINS, origin_of
from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json
from semflow.pipeline import SemFlowPipeline, load_pipeline
from tools.closure import ROOT


@pytest.fixture
def inputs(tmp_path: Path, moving_pipeline: SemFlowPipeline, dataset: TinyDataset) -> CardInputs:
    """The tiny checkpoint with another one's provenance, and Earth's figures under its classes."""
    pipeline, metrics = tmp_path / "pipeline", tmp_path / "metrics.json"
    moving_pipeline.save_pretrained(pipeline)
    shutil.copy(ROOT / "pretrained" / "robots" / "provenance.json", pipeline)
    found = read_json(ROOT / "reports" / "earth" / "metrics.json")
    write_json(metrics, {**found, "classes": list(CLASSES.names), "split": "val"})
    return CardInputs(pipeline, metrics, dataset.shards)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repos]:
    with fake_hub() as (address, repos):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # What the package's own functions are methods of was made when it was imported.
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", address)
        yield repos


def test_a_card_says_data_recipe_figures_and_limits_and_shows_pictures(
    inputs: CardInputs, tmp_path: Path
) -> None:
    out = tmp_path / "card"
    write_card_folder("robots", ORIGINS["robots"], inputs, out)
    said = (out / "README.md").read_text("utf-8")
    found = read_json(inputs.metrics)
    steps = found["segmentation"]["steps"]
    miou = found["segmentation"]["by_steps"][str(steps)]["miou"]
    assert f"{steps} steps (default) | {miou:.3f}" in said
    for name, value in found["baselines"].items():
        assert f"| {name} | {value['miou']:.3f}" in said
    distance = found["synthesis"]["by_steps"]["25"]["fd_mobilenetv2"]
    assert f"| {distance:.1f} |" in said
    assert said.startswith("---\nlibrary_name: diffusers\nlicense: mit\n")
    assert "Zikri Kader" in said
    assert "CC BY" in said
    assert f"{SIZE}x{SIZE} pixels" in said
    noted = read_json(inputs.pipeline / "provenance.json")["parameters"]
    assert f"  steps: {noted['train']['steps']}\n" in said
    picture = np.asarray(Image.open(out / "samples.png"))
    # Three held-out samples; image, label, segmentation and two syntheses of each.
    assert picture.shape == (5 * (SIZE + 2) - 2, 3 * (SIZE + 2) - 2, 3)
    copied = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    there = {path.relative_to(inputs.pipeline) for path in inputs.pipeline.rglob("*.*")}
    assert copied - there == {Path("README.md"), Path("samples.png"), Path("metrics.json")}
    load_pipeline(out)
    with pytest.raises(UserError, match="card exists; name another folder by --out"):
        write_card_folder("robots", ORIGINS["robots"], inputs, out)


def test_figures_of_other_classes_and_data_of_unknown_licence_are_refused(
    inputs: CardInputs, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "reports" / "earth" / "metrics.json", inputs.metrics)
    with pytest.raises(UserError, match="has other classes than"):
        write_card_folder("robots", ORIGINS["robots"], inputs, tmp_path / "card")
    with pytest.raises(UserError, match="give --data-licence"):
        origin_of("folder", None)
    assert origin_of("folder", "mine, all rights reserved").weights == "other"


def test_a_pushed_folder_comes_back_from_the_hub_as_the_same_checkpoint(
    inputs: CardInputs, hub: Repos, tmp_path: Path, moving_pipeline: SemFlowPipeline
) -> None:
    (inputs.pipeline / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    address = push_folder(inputs.pipeline, "me/robots", private=False)
    assert "/me/robots/commit/" in address
    sent = {path: content for path, content in hub["me/robots"].items() if path[0] != "."}
    assert sent == {
        path.relative_to(inputs.pipeline).as_posix(): path.read_bytes()
        for path in inputs.pipeline.rglob("*")
        if path.is_file()
    }
    again = SemFlowPipeline.from_pretrained("me/robots", cache_dir=tmp_path / "cache")
    label = random_label(0)
    [mine], [its] = (one.synthesize(label) for one in (moving_pipeline, again))
    assert mine.tobytes() == its.tobytes()


def test_a_pipeline_pushes_itself_as_diffusers_do(
    hub: Repos, moving_pipeline: SemFlowPipeline
) -> None:
    moving_pipeline.push_to_hub("me/tiny")
    assert {"README.md", "model_index.json", "unet/diffusion_pytorch_model.safetensors"} <= hub[
        "me/tiny"
    ].keys()


@pytest.mark.parametrize("repo_id", ["me/robots", "a b c"])
def test_a_hub_that_cannot_be_reached_or_refuses_is_one_line(
    repo_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=f"cannot push to {repo_id} .* hf auth login") as raised:
        push_folder(tmp_path, repo_id, private=False)
    assert "\n" not in str(raised.value)
