"""A U-Net that other code has trained, as the authors' release leaves one, by its state dict."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from semflow.core.errors import UserError

FILES = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
"""What diffusers and accelerate write into a folder, preferred first."""
PREFIXES = ("module.", "unet.")
"""What wrappers of several processes, and checkpoints of several networks, put before each name."""


def released_unet(path: Path, config: Mapping[str, Any]) -> UNet2DConditionModel:
    """A U-Net of a known configuration with the weights of a file.

    Args:
        path: A file of weights, or a folder in which one of FILES lies.
        config: diffusers' configuration; the weights must have exactly its names and shapes.

    Raises:
        UserError: There is no such file, it is no state dict, or of another network.
    """
    file = weights_file(path)
    state = _own_names(_read_state(file))
    # Without storage: 3.4 GB of random numbers would be drawn and thrown away.
    with torch.device("meta"):
        unet: UNet2DConditionModel = UNet2DConditionModel.from_config(dict(config))
    _check_names(state, {name: value.shape for name, value in unet.state_dict().items()}, file)
    unet.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return unet


def weights_file(path: Path) -> Path:
    """The file itself, or the one of FILES in a folder.

    Raises:
        UserError: There is none.
    """
    if path.is_file():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise UserError(f"{path} holds no weights; give a file, or a folder with one of {list(FILES)}")


def _read_state(file: Path) -> dict[str, Tensor]:
    """Tensors by name; never runs code that a file may hold.

    Raises:
        UserError: The file is damaged, or holds other things than tensors by name.
    """
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise UserError(f"{file} holds no weights that can be read safely ({reason})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise UserError(f"{file} holds other things than tensors by name; give a state dict")
    return state


def _own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors without the prefixes that all of their names share."""
    named = dict(state)
    for prefix in PREFIXES:
        if named and all(name.startswith(prefix) for name in named):
            named = {name.removeprefix(prefix): value for name, value in named.items()}
    return named


def _check_names(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], file: Path) -> None:
    if missing := sorted(shapes.keys() - state.keys()):
        raise UserError(f"{file} lacks {len(missing)} tensors of the network, first {missing[0]!r}")
    if others := sorted(state.keys() - shapes.keys()):
        raise UserError(
            f"{file} has {len(others)} tensors that the network does not have, first "
            f"{others[0][:100]!r}"
        )
    for name, shape in shapes.items():
        if (found := state[name].shape) != shape:
            raise UserError(
                f"{file}: {name} has shape {tuple(found)}, the network's is {tuple(shape)}"
            )
        if not torch.isfinite(state[name]).all():
            raise UserError(f"{file}: {name} is not finite")
