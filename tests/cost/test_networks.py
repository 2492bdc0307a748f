from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from semflow.core.errors import UserError
from semflow.cost.autoencoders import autoencoder_cost
from semflow.cost.layers import Size
from semflow.cost.unet import (
    PROMPT_TOKENS,
    configured_shape,
    input_convolution,
    scratch_shape,
    unet_tally,
)
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.known import KNOWN
from semflow.networks.schema import NetworkShape
from semflow.networks.velocity import scratch_unet

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PLAIN = NetworkShape(
    block_out_channels=(16, 32, 48), layers_per_block=2, attention_head_dim=16, norm_num_groups=8
)
ATTENDING: dict[str, Any] = {
    **KNOWN[STABLE_DIFFUSION, "unet"],
    "block_out_channels": [16, 32, 48, 48],
    "cross_attention_dim": 24,
    "norm_num_groups": 8,
    "attention_head_dim": 2,
}
SMALL_VAE: dict[str, Any] = {
    **KNOWN[STABLE_DIFFUSION, "vae"],
    "block_out_channels": [8, 16, 24, 24],
    "norm_num_groups": 4,
}


def built(config: dict[str, Any]) -> dict[str, Any]:
    """What diffusers' constructor takes."""
    return {key: value for key, value in config.items() if key != "_class_name"}


def counted(network: nn.Module, *inputs: torch.Tensor, backward: bool = False) -> int:
    """torch's own count of a pass, on no device."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        answer = network(*inputs)
        if backward:
            answer.sample.sum().backward()
    return int(counter.get_total_flops())


def parameters_of(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("attends", [False, True])
def test_the_u_nets_operations_are_torchs_within_two_percent(attends: bool, backward: bool) -> None:
    size, batch = Size(16, 24), 2
    with torch.device("meta"):
        if attends:
            unet = UNet2DConditionModel(**built(ATTENDING))
            shape = configured_shape(ATTENDING, "here")
        else:
            unet = scratch_unet(PLAIN, 0, 4, 4)
            shape = scratch_shape(PLAIN, 4)
        prompt = torch.zeros(batch, PROMPT_TOKENS, unet.config.cross_attention_dim)
        inputs = torch.zeros(batch, 4, 16, 24), torch.zeros(batch), prompt
    found = unet_tally(shape, size)
    assert found.parameters == parameters_of(unet)
    work = found.times(batch)
    if backward:
        work = found.times(3 * batch) + input_convolution(shape, size).times(-batch)
    assert work.flops == pytest.approx(counted(unet, *inputs, backward=backward), rel=0.02)


def test_stable_diffusions_networks_have_the_parameters_that_diffusers_builds() -> None:
    configs = {name: KNOWN[STABLE_DIFFUSION, name] for name in ("unet", "vae")}
    with torch.device("meta"):
        unet = UNet2DConditionModel(**built(configs["unet"]))
        vae = AutoencoderKL(**built(configs["vae"]))
    shape = configured_shape(configs["unet"], "here")
    assert unet_tally(shape, Size(64, 64)).parameters == parameters_of(unet) == 859_520_964
    cost = autoencoder_cost(configs["vae"], Size(512, 512), "here")
    assert cost.parameters == parameters_of(vae) == 83_653_863
    assert (cost.channels, cost.latents) == (4, Size(64, 64))


def test_both_ways_of_an_autoencoder_kl_are_torchs_within_two_percent() -> None:
    cost = autoencoder_cost(SMALL_VAE, Size(32, 48), "here")
    with torch.device("meta"):
        vae = AutoencoderKL(**built(SMALL_VAE))
        image, latents = torch.zeros(1, 3, 32, 48), torch.zeros(1, 4, 4, 6)
    assert cost.parameters == parameters_of(vae)
    assert cost.encoder.flops == pytest.approx(counted(vae.encoder, image), rel=0.02)
    assert cost.decoder.flops == pytest.approx(counted(vae.decoder, latents), rel=0.02)


def test_both_ways_of_a_patch_autoencoder_are_torchs_own() -> None:
    autoencoder = PatchAutoencoder(4, 6, 8, 1, 12, 2)
    config = {"_class_name": "PatchAutoencoder", **autoencoder.config}
    cost = autoencoder_cost(config, Size(16, 24), "here")
    assert cost.parameters == parameters_of(autoencoder)
    with FlopCounterMode(display=False) as encoding:
        autoencoder.encode(torch.zeros(1, 3, 16, 24))
    with FlopCounterMode(display=False) as decoding:
        autoencoder.decode(torch.zeros(1, 6, 4, 6))
    assert cost.encoder.flops == encoding.get_total_flops()
    assert cost.decoder.flops == decoding.get_total_flops()


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({**SMALL_VAE, "_class_name": "VQModel"}, "here names class 'VQModel'; known are"),
        ({"_class_name": "AutoencoderKL"}, "here is no configuration of AutoencoderKL"),
        (SMALL_VAE, "is no multiple of 8"),
    ],
)
def test_an_autoencoder_that_cannot_be_counted_is_one_line(
    config: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint):
        autoencoder_cost(config, Size(32, 44), "here")


def test_a_u_net_with_other_blocks_is_refused() -> None:
    config = {**ATTENDING, "down_block_types": ["AttnDownBlock2D"] * 4}
    with pytest.raises(UserError, match="here has a U-Net whose cost is not known"):
        configured_shape(config, "here")
