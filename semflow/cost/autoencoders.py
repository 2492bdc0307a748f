"""An autoencoder's parameters and operations each way, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semflow.core.errors import UserError
from semflow.cost.layers import (
    Size,
    Tally,
    attention,
    convolution,
    linear,
    norm,
    residual_block,
)
from semflow.networks.schema import check_factor


@dataclass(frozen=True)
class AutoencoderCost:
    """What an autoencoder has and does for one image of a given size.

    Args:
        encoder: From pixels to posterior moments.
        decoder: From latents to pixels.
        parameters: Of both.
        channels: Of the latents.
        latents: Their height and width.
    """

    encoder: Tally
    decoder: Tally
    parameters: int
    channels: int
    latents: Size


def autoencoder_cost(config: Mapping[str, Any], image: Size, source: str) -> AutoencoderCost:
    """Of an AutoencoderKL or a PatchAutoencoder.

    Args:
        config: The content of its config.json.
        image: Height and width, pixels.
        source: Where it comes from, for errors.

    Raises:
        UserError: It is of another class, or the image is no multiple of its patches.
    """
    kinds = {"AutoencoderKL": _kl, "PatchAutoencoder": _patches}
    name = config.get("_class_name")
    if name not in kinds:
        raise UserError(f"{source} names class {name!r}; known are {', '.join(kinds)}")
    try:
        factor, encoder, decoder, extra = kinds[name](config, image)
        channels = int(config["latent_channels"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source} is no configuration of {name} ({error}); save it anew") from None
    check_factor((image.height, image.width), factor)
    latents = Size(image.height // factor, image.width // factor)
    parameters = encoder.parameters + decoder.parameters + extra
    return AutoencoderCost(encoder, decoder, parameters, channels, latents)


def _kl(config: Mapping[str, Any], image: Size) -> tuple[int, Tally, Tally, int]:
    widths, layers = tuple(config["block_out_channels"]), int(config["layers_per_block"])
    channels = int(config["latent_channels"])
    sizes = [image]
    for _ in widths[1:]:
        # Padded at the lower right before a stride of 2: halves of even sizes.
        sizes.append(Size(sizes[-1].height // 2, sizes[-1].width // 2))
    last = sizes[-1]
    encoder = convolution(3, widths[0], 3, image)
    before = widths[0]
    for level, width in enumerate(widths):
        encoder += _blocks(before, width, layers, sizes[level])
        if level < len(widths) - 1:
            encoder += convolution(width, width, 3, sizes[level + 1])
        before = width
    encoder += _middle(before, last) + norm(before)
    encoder += convolution(before, 2 * channels, 3, last)
    encoder += convolution(2 * channels, 2 * channels, 1, last)
    decoder = convolution(channels, channels, 1, last) + convolution(channels, before, 3, last)
    decoder += _middle(before, last)
    for level in reversed(range(len(widths))):
        decoder += _blocks(before, widths[level], layers + 1, sizes[level])
        before = widths[level]
        if level > 0:
            decoder += convolution(before, before, 3, sizes[level - 1])
    decoder += norm(before) + convolution(before, 3, 3, image)
    return 2 ** (len(widths) - 1), encoder, decoder, 0


def _blocks(inputs: int, outputs: int, count: int, size: Size) -> Tally:
    total = residual_block(inputs, outputs, 0, size)
    for _ in range(count - 1):
        total += residual_block(outputs, outputs, 0, size)
    return total


def _middle(width: int, size: Size) -> Tally:
    """Two residual blocks around an attention of every cell to every other."""
    total = residual_block(width, width, 0, size) + residual_block(width, width, 0, size)
    total += norm(width) + attention(width, size.cells, size.cells)
    for _ in range(4):
        total += linear(width, width, size.cells)
    return total


def _patches(config: Mapping[str, Any], image: Size) -> tuple[int, Tally, Tally, int]:
    patch, channels = int(config["patch_size"]), int(config["latent_channels"])
    size = Size(image.height // patch, image.width // patch)
    pixels = 3 * patch**2
    encoder = convolution(pixels, channels, 1, size, bias=False) + _trunk(
        pixels, int(config["encoder_channels"]), channels, int(config["encoder_blocks"]), size
    )
    decoder = convolution(channels, pixels, 1, size, bias=False) + _trunk(
        channels, int(config["decoder_channels"]), pixels, int(config["decoder_blocks"]), size
    )
    # One log variance a channel.
    return patch, encoder, decoder, channels


def _trunk(inputs: int, hidden: int, outputs: int, blocks: int, size: Size) -> Tally:
    total = convolution(inputs, hidden, 3, size) + convolution(hidden, outputs, 3, size)
    for _ in range(2 * blocks):
        total += convolution(hidden, hidden, 3, size)
    return total
