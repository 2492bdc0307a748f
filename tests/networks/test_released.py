from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from support.tiny import same_weights
from torch import Tensor

from semflow.core.errors import UserError
from semflow.networks.known import KNOWN, known_config
from semflow.networks.released import released_unet

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CONFIG: dict[str, Any] = {
    **KNOWN[STABLE_DIFFUSION, "unet"],
    "block_out_channels": [16, 32, 48, 48],
    "cross_attention_dim": 24,
    "norm_num_groups": 8,
    "attention_head_dim": 2,
}
"""Stable Diffusion's U-Net with narrow layers."""


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    torch.manual_seed(5)
    return UNet2DConditionModel.from_config(CONFIG)


@pytest.fixture
def state(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in unet.state_dict().items()}


def test_the_known_configuration_has_the_tensors_of_stable_diffusion() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(
            dict(known_config(STABLE_DIFFUSION, "unet"))
        ).state_dict()
    assert len(unet) == 686
    assert sum(value.numel() for value in unet.values()) == 859_520_964
    attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    assert unet[attention].shape == (320, 768)
    assert unet["conv_in.weight"].shape == (320, 4, 3, 3)


def test_a_folder_that_diffusers_wrote_gives_the_same_network(
    unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    unet.save_pretrained(tmp_path)
    assert same_weights(released_unet(tmp_path, CONFIG), unet)


def test_a_plain_state_dict_of_several_processes_gives_the_same_network(
    unet: UNet2DConditionModel, state: dict[str, Tensor], tmp_path: Path
) -> None:
    wrapped = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    torch.save(wrapped, tmp_path / "step.pt")
    assert same_weights(released_unet(tmp_path / "step.pt", CONFIG), unet)


def test_half_precision_becomes_float32(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "u.safetensors")
    loaded = released_unet(tmp_path / "u.safetensors", CONFIG).state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    assert torch.equal(loaded["conv_in.bias"], state["conv_in.bias"].half().float())


class Payload:
    """Runs code where a pickle is loaded carelessly."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_a_pickle_that_holds_code_is_refused_and_runs_nothing(workspace: Path) -> None:
    (workspace / "evil.bin").write_bytes(pickle.dumps(Payload()))
    torch.save({"conv_in.weight": Payload()}, workspace / "evil.pt")
    for name in ("evil.bin", "evil.pt"):
        with pytest.raises(UserError, match="read safely"):
            released_unet(workspace / name, CONFIG)
    assert not (workspace / "ran").exists()


def test_weights_of_another_network_are_named_by_their_first_difference(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "unet.safetensors"

    def refused(reason: str) -> None:
        save_file(state, path)
        with pytest.raises(UserError, match=re.escape(reason)):
            released_unet(path, CONFIG)

    bias = state["conv_in.bias"]
    state["conv_in.bias"] = torch.full_like(bias, torch.nan)
    refused("conv_in.bias is not finite")
    state["conv_in.bias"] = bias[:3].clone()
    refused("conv_in.bias has shape (3,), the network's is (16,)")
    del state["conv_in.bias"]
    refused("lacks 1 tensors of the network, first 'conv_in.bias'")
    state |= {"conv_in.bias": bias, "extra": bias.clone()}
    refused("has 1 tensors that the network does not have, first 'extra'")


def test_a_folder_without_weights_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no weights; give a file, or a folder with one of"):
        released_unet(tmp_path, CONFIG)
