"""Bytes of what is computed ahead of training: exactly for latents, estimated for PNGs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from semflow.cost.layers import Size
from semflow.cost.samples import Samples
from semflow.mask_latents.schema import LatentParams
from semflow.shards.schema import ShardParams

MASK_NOISE = ("online", "variants", "moments")
_BLOCK, _RECORD = 512, 10240
"""Of a tar: what members are padded to, and the whole file."""
_NPY_HEADER = 128
_IMAGE_BYTES, _LABEL_BYTES = 1.6, 0.05
"""A PNG's bytes for each pixel: Earth's tiles have 1.57 and 0.07, robots 1.24 and 0.08. Large
labels need less; photographs with much grain more."""
_PNG_HEADER, _PALETTE, _PLACE = 70, 780, 80


@dataclass(frozen=True)
class Disk:
    """Bytes of each cache, all splits together.

    Args:
        shards: Pixel shards, estimated.
        pseudo_masks: Their shards, estimated.
        image_latents: float16, of images and of their mirror images.
        image_latents_plain: The part of these that is not mirrored, without its share of tars.
        mask_latents: float16, by `latents.mask_noise`; training reads one mode's.
    """

    shards: int
    pseudo_masks: int
    image_latents: int
    image_latents_plain: int
    mask_latents: dict[str, int]


def disk_of(
    samples: Samples, shards: ShardParams, latents: LatentParams, channels: int, size: Size
) -> Disk:
    """What the stages before training write.

    Args:
        samples: Of each split, before crops.
        shards: Size of images, crops and packing.
        latents: Draws of the noise.
        channels: C of the latents.
        size: Height and width of the latents.
    """
    crops = 1 if shards.crops is None else shards.crops.per_image
    pixels = shards.image_size[0] * shards.image_size[1]
    image, label = round(_IMAGE_BYTES * pixels), _png_label(pixels)
    native = _png_label(pixels if samples.native is None else samples.native.cells)
    moments = npy_bytes(2 * channels * size.cells)

    def all_splits(train: Sequence[int], measured: Sequence[int]) -> int:
        """Of samples whose members have these sizes."""
        packing = shards.samples_per_shard
        return (
            tar_bytes(samples.train, crops, train, packing)
            + tar_bytes(samples.val, 1, measured, packing)
            + tar_bytes(samples.test, 1, measured, packing)
        )

    def masks(mode: str) -> int:
        """Of the train split."""
        members = mask_members(mode, latents.mask_draws, channels * size.cells)
        return tar_bytes(samples.train, crops, members, shards.samples_per_shard)

    return Disk(
        shards=all_splits([image, label, _PLACE], [image, label, _PLACE, native]),
        pseudo_masks=all_splits([label + _PALETTE], [label + _PALETTE]),
        image_latents=all_splits([moments] * 2, [moments] * 2),
        image_latents_plain=(samples.train * crops + samples.measured) * moments,
        mask_latents={mode: masks(mode) for mode in MASK_NOISE},
    )


def mask_members(mode: str, draws: int, numbers: int) -> list[int]:
    """Sizes of one sample's members in mask latent shards.

    Args:
        mode: A value of `latents.mask_noise`.
        draws: `latents.mask_draws`.
        numbers: C * h * w.
    """
    if mode == "variants":
        return [npy_bytes(numbers)] * (2 * draws)
    return [npy_bytes(2 * numbers)] * 2 if mode == "moments" else []


def npy_bytes(numbers: int) -> int:
    """An .npy file of so many float16."""
    return _NPY_HEADER + 2 * numbers


def tar_bytes(samples: int, crops: int, members: Sequence[int], samples_per_shard: int) -> int:
    """All tars of one split.

    Args:
        samples: Before crops.
        crops: Records that each of them gives.
        members: Bytes of each member of a record; none: nothing is written.
        samples_per_shard: Of the index, before crops.
    """
    if not members:
        return 0
    record = sum(_BLOCK + math.ceil(member / _BLOCK) * _BLOCK for member in members)
    whole, rest = divmod(samples, samples_per_shard)
    sizes = [samples_per_shard] * whole + ([rest] if rest else [])
    return sum(math.ceil((n * crops * record + 2 * _BLOCK) / _RECORD) * _RECORD for n in sizes)


def _png_label(pixels: int) -> int:
    return _PNG_HEADER + round(_LABEL_BYTES * pixels)
