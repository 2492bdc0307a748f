from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.tiny import Command, lossless_autoencoder, pinned, same_weights
from support.tiny_data import BACKBONE

from semflow.cli.importing import imported_pipeline
from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.datasets.celebamask_hq import CLASSES
from semflow.networks.null_prompt import null_prompt_from
from semflow.networks.sources import WEIGHTS
from semflow.networks.velocity import scratch_unet
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.palette import base_k_anchors
from semflow.schema import DatasetParams, read_params
from tools.closure import ROOT

CHANNELS = lossless_autoencoder().config.latent_channels


@pytest.fixture
def faces(tmp_path: Path) -> DatasetParams:
    """CelebAMask-HQ's block, at 16 pixels, with small networks in folders."""
    lossless_autoencoder().save_pretrained(tmp_path / "autoencoder")
    backbone = tmp_path / "backbone"
    scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS).save_pretrained(backbone / "unet")
    null_prompt_from(torch.zeros(1, 3, 8)).save_pretrained(backbone / "null_prompt")
    block = read_params(ROOT / "params.yaml").dataset("celebamask_hq")
    return block.model_copy(
        update={
            "shards": block.shards.model_copy(update={"image_size": (16, 16)}),
            "autoencoder": pinned(tmp_path / "autoencoder", tmp_path / "autoencoder"),
            "backbone": pinned(backbone, backbone / "unet"),
        }
    )


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A U-Net that other code has left."""
    unet = scratch_unet(BACKBONE, 7, CHANNELS, CHANNELS)
    unet.save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


def test_weights_from_elsewhere_get_the_papers_palette_noise_and_steps(
    faces: DatasetParams, trained: Path
) -> None:
    pipeline = imported_pipeline("celebamask_hq", faces, trained)
    assert same_weights(pipeline.unet, scratch_unet(BACKBONE, 7, CHANNELS, CHANNELS))
    assert pipeline.config.class_names == [name for name, _ in CLASSES]
    assert pipeline.config.anchors == base_k_anchors(len(CLASSES), 6, 50.0).tolist()
    assert pipeline.config.amplitude == faces.noise.amplitude
    assert (pipeline.config.segment_steps, pipeline.config.synthesize_steps) == (25, 25)
    assert pipeline.statistics is None


def test_the_command_writes_a_checkpoint_that_segments_and_notes_the_file(
    faces: DatasetParams,
    trained: Path,
    semflow_command: Command,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = read_params(ROOT / "params.yaml")
    monkeypatch.setattr(type(params), "dataset", lambda _self, _name: faces)
    (workspace / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    result = semflow_command("import-unet", "celebamask_hq", trained, "--out", "released")
    assert result.code == 0, result.err
    note = json.loads((workspace / "released" / "provenance.json").read_text("utf-8"))
    assert note["inputs"] == {(trained / WEIGHTS).as_posix(): sha256_of(trained / WEIGHTS)}
    pipeline = SemFlowPipeline.from_pretrained(workspace / "released")
    [label] = pipeline.segment(Image.new("RGB", (16, 16), (90, 40, 10)), num_steps=2)
    assert label.shape == (16, 16)
    again = semflow_command("import-unet", "celebamask_hq", trained, "--out", "released")
    assert (again.code, "exists" in again.err) == (2, True)


def test_a_data_set_with_classes_of_its_own_is_refused(params: DatasetParams) -> None:
    with pytest.raises(UserError, match="earth has classes or an autoencoder of its own"):
        imported_pipeline("earth", params, Path("unet"))
