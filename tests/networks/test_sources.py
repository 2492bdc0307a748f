from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.tiny import CHANNELS, lossless_autoencoder, pinned, same_weights
from support.tiny_data import BACKBONE

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.networks.null_prompt import NullPrompt, null_prompt_from
from semflow.networks.schema import FolderSource
from semflow.networks.sources import (
    WEIGHTS,
    load_autoencoder,
    load_null_prompt,
    obtain_autoencoder,
    obtain_backbone,
)
from semflow.networks.velocity import scratch_unet

ANOTHER = "0" * 64


@pytest.fixture
def autoencoder_folder(tmp_path: Path) -> Path:
    lossless_autoencoder().save_pretrained(tmp_path / "autoencoder")
    return tmp_path / "autoencoder"


@pytest.fixture
def backbone_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "backbone"
    scratch_unet(BACKBONE, 0, 4, 4).save_pretrained(folder / "unet")
    null_prompt_from(torch.arange(24.0).view(1, 3, 8)).save_pretrained(folder / "null_prompt")
    return folder


def test_a_pinned_autoencoder_is_taken_from_its_folder(autoencoder_folder: Path) -> None:
    autoencoder = obtain_autoencoder(pinned(autoencoder_folder, autoencoder_folder))
    assert same_weights(autoencoder, lossless_autoencoder())


def test_a_pinned_backbone_is_taken_with_its_null_prompt(backbone_folder: Path) -> None:
    source = pinned(backbone_folder, backbone_folder / "unet")
    unet, null_prompt = obtain_backbone(source, latent_channels=4)
    assert same_weights(unet, scratch_unet(BACKBONE, 0, 4, 4))
    assert null_prompt.embedding.flatten().tolist() == list(range(24))


def test_other_weights_than_the_pinned_ones_are_refused(
    autoencoder_folder: Path, backbone_folder: Path
) -> None:
    for obtain, folder, weights in (
        (obtain_autoencoder, autoencoder_folder, autoencoder_folder),
        (lambda source: obtain_backbone(source, 4), backbone_folder, backbone_folder / "unet"),
    ):
        found = sha256_of(weights / WEIGHTS)
        source = FolderSource(
            source="folder", path=str(folder), sha256=ANOTHER, config_sha256=ANOTHER
        )
        with pytest.raises(UserError) as refusal:
            obtain(source)
        assert str(refusal.value) == (
            f"{weights / WEIGHTS} has sha256 {found}, params.yaml pins {ANOTHER}"
        )


def test_another_configuration_than_the_pinned_one_is_refused(autoencoder_folder: Path) -> None:
    config = autoencoder_folder / "config.json"
    source = pinned(autoencoder_folder, autoencoder_folder)
    obtain_autoencoder(source)
    values = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**values, "scaling_factor": 9.0}), "utf-8")
    with pytest.raises(UserError, match=r"config\.json has sha256 .*params\.yaml pins"):
        obtain_autoencoder(source)


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_an_index_that_leads_past_the_pinned_weights_is_refused(
    autoencoder_folder: Path, backbone_folder: Path, variant: str
) -> None:
    for obtain, folder, weights in (
        (obtain_autoencoder, autoencoder_folder, autoencoder_folder),
        (lambda source: obtain_backbone(source, 4), backbone_folder, backbone_folder / "unet"),
    ):
        index = weights / f"{WEIGHTS}.index{variant}.json"
        other = weights / "others.safetensors"
        save_file({"log_variance": torch.zeros(1)}, other)
        index.write_text(json.dumps({"weight_map": {"log_variance": other.name}}), "utf-8")
        with pytest.raises(UserError) as refusal:
            obtain(pinned(folder, weights))
        assert str(refusal.value) == (
            f"{index} names other weights than {WEIGHTS}; remove it or save anew"
        )


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    source = FolderSource(
        source="folder", path=str(tmp_path / "nowhere"), sha256=ANOTHER, config_sha256=ANOTHER
    )
    for obtain in (obtain_autoencoder, lambda source: obtain_backbone(source, 4)):
        with pytest.raises(UserError, match=r"nowhere.*safetensors is missing; give a folder"):
            obtain(source)


def test_a_backbone_without_its_null_prompt_is_refused(backbone_folder: Path) -> None:
    for path in (backbone_folder / "null_prompt").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="null_prompt"):
        obtain_backbone(pinned(backbone_folder, backbone_folder / "unet"), latent_channels=4)


def test_a_backbone_for_other_latents_is_refused(backbone_folder: Path) -> None:
    source = pinned(backbone_folder, backbone_folder / "unet")
    with pytest.raises(UserError, match="backbone takes 4 channels, the autoencoder gives 5"):
        obtain_backbone(source, latent_channels=5)


def test_a_folder_with_a_model_of_another_class_is_no_autoencoder(
    tmp_path: Path, backbone_folder: Path
) -> None:
    with pytest.raises(UserError, match="names class 'UNet2DConditionModel'; known are"):
        load_autoencoder(backbone_folder / "unet")
    with pytest.raises(UserError, match=r"config\.json not found"):
        load_autoencoder(tmp_path)


def test_pickled_weights_are_never_loaded(autoencoder_folder: Path) -> None:
    torch.save(lossless_autoencoder().state_dict(), autoencoder_folder / "weights.bin")
    (autoencoder_folder / "weights.bin").rename(autoencoder_folder / "diffusion_pytorch_model.bin")
    (autoencoder_folder / WEIGHTS).unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_autoencoder(autoencoder_folder)


def test_a_backbone_from_scratch_fits_the_latents_and_its_null_prompt() -> None:
    unet, null_prompt = obtain_backbone(BACKBONE, CHANNELS)
    assert unet.config.in_channels == unet.config.out_channels == CHANNELS
    assert null_prompt.embedding.shape == (1, 1, unet.config.cross_attention_dim)
    assert not null_prompt.embedding.any()
    assert not null_prompt.embedding.requires_grad


def test_a_saved_null_prompt_comes_back(tmp_path: Path) -> None:
    embedding = torch.randn(1, 4, 6)
    null_prompt_from(embedding).save_pretrained(tmp_path)
    again = load_null_prompt(tmp_path)
    assert torch.equal(again.embedding, embedding)
    assert json.loads((tmp_path / "config.json").read_text("utf-8"))["tokens"] == 4
    assert isinstance(again, NullPrompt)
