"""The velocity field v(x, t): a UNet2DConditionModel behind the plain signature of an ODE."""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from semflow.networks.autoencoder import zero_
from semflow.networks.schema import NetworkShape
from semflow.networks.statistics import LatentStatistics

PaddingMode = Literal["zeros", "reflect", "replicate"]

TIMESTEPS = 1000
"""Stable Diffusion's embedding was trained on t in [0, 1000); ours is t * 1000, as a float."""


class VelocityField(nn.Module):
    """Hides the time scale and the null prompt of a text-conditioned U-Net.

    Args:
        unet: the backbone; its cross-attention, if it has any, sees only the null prompt.
        null_prompt: (1, tokens, cross_attention_dim) float, the embedding of the empty prompt
            (Sec. 3.2: no captions).
        padding_mode: what its convolutions see beyond the border.
    """

    null_prompt: Tensor

    def __init__(
        self,
        unet: UNet2DConditionModel,
        null_prompt: Tensor,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        super().__init__()
        set_padding_mode(unet, padding_mode)
        # Convolutions on a CPU are 5 to 20% faster in this layout, and on a GPU no slower.
        self.unet = unet.to(memory_format=torch.channels_last)
        self.register_buffer("null_prompt", null_prompt, persistent=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Latents (N, C, h, w) and times (N,) float32 in [0, 1] -> the U-Net's answer, float32."""
        x = x.to(self.null_prompt.dtype).contiguous(memory_format=torch.channels_last)
        prompt = self.null_prompt.expand(len(x), -1, -1)
        velocity: Tensor = self.unet(x, t * TIMESTEPS, prompt, return_dict=False)[0]
        return velocity.float()


class PreconditionedField(nn.Module):
    """The least-squares linear velocity plus a backbone's correction of what it leaves.

    The two ends differ in scale a hundredfold and more from channel to channel. A small backbone
    from scratch would spend its training on carrying its input through, and its precision on the
    largest channels; here it sees inputs of like size and answers in units of the remaining error.

    Args:
        field: the backbone.
        statistics: of the latents that it is trained on.
    """

    def __init__(self, field: VelocityField, statistics: LatentStatistics) -> None:
        super().__init__()
        self.field = field
        self.statistics = statistics

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Latents (N, C, h, w) and times (N,) float32 in [0, 1] -> velocity, float32."""
        known = self.statistics.on_path(t)
        centred = x - known.mean[:, :, None, None]
        # Only the root of the deviation: full whitening would show channels that carry nothing but
        # noise as large as those that carry the image.
        correction = self.field(centred * known.deviation.rsqrt()[:, :, None, None], t)
        linear = torch.einsum("nij,njhw->nihw", known.gain, centred)
        velocity: Tensor = (
            known.drift[:, None, None] + linear + correction * known.residual[:, :, None, None]
        )
        return velocity


def make_field(
    unet: UNet2DConditionModel,
    null_prompt: Tensor,
    statistics: LatentStatistics | None,
    padding_mode: PaddingMode,
) -> VelocityField | PreconditionedField:
    """The velocity v(x, t) of a checkpoint's parts; arguments as of the two fields."""
    field = VelocityField(unet, null_prompt, padding_mode)
    return field if statistics is None else PreconditionedField(field, statistics)


def set_padding_mode(network: nn.Module, padding_mode: PaddingMode) -> None:
    """Sets what all convolutions of a network see beyond the border; their weights stay.

    Zeros tell a network where the border is, and a small one draws a frame along it.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.padding != (0, 0):
            layer.padding_mode = padding_mode


def scratch_unet(
    shape: NetworkShape, seed: int, in_channels: int, out_channels: int
) -> UNet2DConditionModel:
    """A convolutional U-Net with random weights, the same for the same seed.

    The last convolution starts at zero, so that training begins from no motion at all.

    Args:
        shape: its blocks.
        seed: of the weights.
        in_channels: channels of the latents.
        out_channels: as many for a velocity; classes * patch_size**2 for a segmentation head.
    """
    levels = len(shape.block_out_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            in_channels=in_channels,
            out_channels=out_channels,
            block_out_channels=shape.block_out_channels,
            layers_per_block=shape.layers_per_block,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            mid_block_type="UNetMidBlock2D",
            attention_head_dim=shape.attention_head_dim,
            norm_num_groups=shape.norm_num_groups,
            # Without attention to text this width only names the null prompt's.
            cross_attention_dim=8,
        )
    zero_(unet.conv_out)
    return unet


def with_channels(
    unet: UNet2DConditionModel, in_channels: int, out_channels: int
) -> UNet2DConditionModel:
    """A U-Net that takes and gives more channels; the new ones start at zero, so change nothing.

    Args:
        unet: The backbone; returned as it is where it has these channels already.
        in_channels: At least as many as it has.
        out_channels: At least as many as it has.
    """
    config = unet.config
    if (config.in_channels, config.out_channels) == (in_channels, out_channels):
        return unet
    wider = UNet2DConditionModel.from_config(
        config, in_channels=in_channels, out_channels=out_channels
    )
    state = dict(unet.state_dict())
    for name, value in wider.state_dict().items():
        if value.shape != state[name].shape:
            grown = torch.zeros_like(value)
            grown[tuple(slice(extent) for extent in state[name].shape)] = state[name]
            state[name] = grown
    wider.load_state_dict(state)
    return wider
