"""The U-Net's parameters and operations, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semflow.core.errors import UserError
from semflow.cost.layers import (
    Size,
    Tally,
    convolution,
    linear,
    norm,
    residual_block,
    transformer,
)
from semflow.networks.schema import NetworkShape

PROMPT_TOKENS = 77
"""Of CLIP's text encoder, whose empty prompt a network with cross-attention sees."""
_DOWN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}
_UP = {"UpBlock2D": False, "CrossAttnUpBlock2D": True}
_MIDDLE = {"UNetMidBlock2D": False, "UNetMidBlock2DCrossAttn": True}


@dataclass(frozen=True)
class UNetShape:
    """A UNet2DConditionModel's sizes.

    Args:
        in_channels: Of the latents.
        out_channels: Of the velocity.
        widths: Channels by level, from the finest on.
        layers: Residual blocks of a level on the way down; on the way up there is one more.
        down: Whether each level attends, on the way down.
        middle: Whether the middle attends; it has a second residual block then.
        up: Whether each level attends, on the way up, from the coarsest on.
        context: Width of the prompt's tokens.
    """

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    layers: int
    down: tuple[bool, ...]
    middle: bool
    up: tuple[bool, ...]
    context: int


def scratch_shape(shape: NetworkShape, channels: int) -> UNetShape:
    """What `semflow.networks.velocity.scratch_unet` builds for latents of so many channels."""
    plain = (False,) * len(shape.block_out_channels)
    return UNetShape(
        channels,
        channels,
        shape.block_out_channels,
        shape.layers_per_block,
        down=plain,
        middle=False,
        up=plain,
        context=0,
    )


def configured_shape(config: Mapping[str, Any], source: str) -> UNetShape:
    """The sizes in diffusers' configuration of a UNet2DConditionModel.

    Args:
        config: The content of its config.json.
        source: Where it comes from, for errors.

    Raises:
        UserError: It has blocks that are not counted here.
    """
    try:
        return UNetShape(
            in_channels=int(config["in_channels"]),
            out_channels=int(config["out_channels"]),
            widths=tuple(map(int, config["block_out_channels"])),
            layers=int(config["layers_per_block"]),
            down=tuple(_DOWN[name] for name in config["down_block_types"]),
            middle=_MIDDLE[config.get("mid_block_type", "UNetMidBlock2DCrossAttn")],
            up=tuple(_UP[name] for name in config["up_block_types"]),
            context=int(config["cross_attention_dim"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{source} has a U-Net whose cost is not known here ({error}); "
            "known are diffusers' plain and cross-attention blocks"
        ) from None


def unet_tally(shape: UNetShape, size: Size) -> Tally:
    """Of the whole network for latents of a size."""
    first, embedding = shape.widths[0], 4 * shape.widths[0]
    sizes = [size]
    for _ in shape.widths[1:]:
        sizes.append(sizes[-1].halved())
    total = input_convolution(shape, size)
    total += linear(first, embedding, 1) + linear(embedding, embedding, 1)
    way_down, skips = _down(shape, embedding, sizes)
    total += way_down + _middle(shape, embedding, sizes[-1]) + _up(shape, embedding, sizes, skips)
    return total + norm(first) + convolution(first, shape.out_channels, 3, size)


def input_convolution(shape: UNetShape, size: Size) -> Tally:
    """The first layer, whose input needs no gradient."""
    return convolution(shape.in_channels, shape.widths[0], 3, size)


def _down(shape: UNetShape, embedding: int, sizes: list[Size]) -> tuple[Tally, list[int]]:
    """The way down, and the channels that it leaves for the way up."""
    total, channels, skips = Tally(), shape.widths[0], [shape.widths[0]]
    for level, width in enumerate(shape.widths):
        for _ in range(shape.layers):
            total += residual_block(channels, width, embedding, sizes[level])
            total += _attending(shape, shape.down[level], width, sizes[level])
            channels = width
            skips.append(width)
        if level < len(shape.widths) - 1:
            total += convolution(width, width, 3, sizes[level + 1])
            skips.append(width)
    return total, skips


def _middle(shape: UNetShape, embedding: int, size: Size) -> Tally:
    width = shape.widths[-1]
    total = residual_block(width, width, embedding, size)
    if shape.middle:
        total += _attending(shape, True, width, size)
        total += residual_block(width, width, embedding, size)
    return total


def _up(shape: UNetShape, embedding: int, sizes: list[Size], skips: list[int]) -> Tally:
    total, channels, skips = Tally(), shape.widths[-1], list(skips)
    for number, width in enumerate(reversed(shape.widths)):
        level = len(shape.widths) - 1 - number
        for _ in range(shape.layers + 1):
            total += residual_block(channels + skips.pop(), width, embedding, sizes[level])
            total += _attending(shape, shape.up[number], width, sizes[level])
            channels = width
        if level > 0:
            total += convolution(width, width, 3, sizes[level - 1])
    return total


def _attending(shape: UNetShape, attends: bool, width: int, size: Size) -> Tally:
    return transformer(width, shape.context, PROMPT_TOKENS, size) if attends else Tally()
