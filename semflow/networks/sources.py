"""Where weights come from: a pinned local folder, a pinned hub revision, or random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel

from semflow.core.errors import UserError
from semflow.core.files import read_json, sha256_of
from semflow.core.seals import check_seal
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import Autoencoder
from semflow.networks.null_prompt import NullPrompt, clip_null_prompt
from semflow.networks.schema import FolderSource, HubSource, ScratchBackbone
from semflow.networks.velocity import scratch_unet

WEIGHTS = "diffusion_pytorch_model.safetensors"


def load_autoencoder(folder: Path) -> Autoencoder:
    """Reads an autoencoder of either kind, in evaluation mode and without gradients.

    Raises:
        UserError: the folder holds no autoencoder of a known class, or not as it was sealed.
    """
    check_seal(folder)
    name = read_json(folder / "config.json").get("_class_name")
    classes = {"AutoencoderKL": AutoencoderKL, "PatchAutoencoder": PatchAutoencoder}
    if name not in classes:
        raise UserError(f"{folder}/config.json names class {name!r}; known are {sorted(classes)}")
    autoencoder: Autoencoder = classes[name].from_pretrained(folder, use_safetensors=True)
    return autoencoder.eval().requires_grad_(False)


def load_unet(folder: Path) -> UNet2DConditionModel:
    """Reads a U-Net from a local folder.

    Raises:
        UserError: a file is not as it was sealed.
    """
    check_seal(folder)
    unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(folder, use_safetensors=True)
    return unet


def obtain_autoencoder(source: FolderSource | HubSource) -> Autoencoder:
    """A ready-made autoencoder.

    Raises:
        UserError: it is not there, or not the pinned one.
    """
    if isinstance(source, HubSource):
        autoencoder: Autoencoder = fetch_hub(source, AutoencoderKL)
        return autoencoder
    return load_autoencoder(fetch_folder(source, Path(source.path)))


def obtain_backbone(
    source: FolderSource | HubSource | ScratchBackbone, latent_channels: int
) -> tuple[UNet2DConditionModel, NullPrompt]:
    """A U-Net for latents of so many channels, and the null prompt it was trained with.

    Raises:
        UserError: it is not there, not the pinned one, or made for other latents.
    """
    if isinstance(source, ScratchBackbone):
        unet = scratch_unet(source, source.seed, latent_channels, latent_channels)
        null_prompt = NullPrompt(tokens=1, width=unet.config.cross_attention_dim)
    elif isinstance(source, HubSource):
        unet, null_prompt = fetch_hub(source, UNet2DConditionModel), clip_null_prompt(source)
    else:
        unet = load_unet(fetch_folder(source, Path(source.path) / "unet"))
        null_prompt = load_null_prompt(Path(source.path) / "null_prompt")
    if unet.config.in_channels != latent_channels:
        raise UserError(
            f"the backbone takes {unet.config.in_channels} channels, the autoencoder gives "
            f"{latent_channels}; change backbone or autoencoder in params.yaml"
        )
    return unet, null_prompt


def load_null_prompt(folder: Path) -> NullPrompt:
    """Reads a null prompt from a local folder.

    Raises:
        UserError: there is none, or not as it was sealed.
    """
    check_seal(folder)
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder / WEIGHTS} is missing; a backbone comes with its null prompt")
    null_prompt: NullPrompt = NullPrompt.from_pretrained(folder, use_safetensors=True)
    return null_prompt


def fetch_folder(source: FolderSource, folder: Path) -> Path:
    """A local folder whose weights and config.json are the pinned ones.

    Args:
        source: The pin.
        folder: Where the weights lie.

    Raises:
        UserError: There are no weights, other ones, or an index that leads past them.
    """
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"{weights} is missing; give a folder saved by diffusers' save_pretrained")
    # diffusers loads what an index names, and not the one file whose checksum is the pin.
    if others := sorted(folder.glob("*.index.*json")):
        raise UserError(f"{others[0]} names other weights than {WEIGHTS}; remove it or save anew")
    if (found := sha256_of(weights)) != source.sha256:
        raise UserError(f"{weights} has sha256 {found}, params.yaml pins {source.sha256}")
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{config} is missing; give a folder that save_pretrained wrote")
    if (found := sha256_of(config)) != source.config_sha256:
        raise UserError(f"{config} has sha256 {found}, params.yaml pins {source.config_sha256}")
    return folder


def fetch_hub(source: HubSource, model: type[Any]) -> Any:
    """Loads a model of a hub at its pinned revision, safetensors only.

    Args:
        source: repository, revision and subfolder.
        model: the diffusers class to load.

    Raises:
        UserError: it cannot be had.
    """
    try:
        return model.from_pretrained(
            source.repo_id,
            revision=source.revision,
            subfolder=source.subfolder,
            use_safetensors=True,
        )
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot load {source.repo_id} at {source.revision} ({reason}); "
            "check the network, or give a local copy: source: folder"
        ) from None
