"""What one training sample is made of, drawn from the shards by its position in the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semflow.core.labels import mirror
from semflow.core.seeds import draws_at, sample_at
from semflow.shards.tar import ShardFolder, array_from, png_pixels
from semflow.training.masks import Masks


class TrainingSample(TypedDict):
    """One sample, or a batch of them with a leading dimension N.

    index: () int64, the sample's position in its shard folder, for messages.
    moments: (2C, h, w) float32, the image's posterior mean and log variance.
    moments_noise: (C, h, w) float32 standard normal.
    label: (H, W) int64 ids.
    uniform: () float32 in [0, 1), what t is drawn from.
    pseudo_mask, mask_noise: (3, H, W) float32 in [-1, 1], where masks are encoded online.
    x_1: (C, h, w) float32, mask latents, where they are cached.
    """

    index: Tensor
    moments: Tensor
    moments_noise: Tensor
    label: Tensor
    uniform: Tensor
    pseudo_mask: NotRequired[Tensor]
    mask_noise: NotRequired[Tensor]
    x_1: NotRequired[Tensor]


@dataclass(frozen=True)
class TrainingSamples(Dataset[TrainingSample]):
    """Samples by their position in the endless training order.

    Args:
        pixels: pixel shards of the train split.
        latents: image latent shards of the same samples in the same order.
        masks: where the mask end comes from.
        mirrored: class ids after a left-right flip.
        seed: of order and draws.
    """

    pixels: ShardFolder
    latents: ShardFolder
    masks: Masks
    mirrored: tuple[int, ...]
    seed: int

    def __getitem__(self, position: int) -> TrainingSample:
        """The sample at a position; every draw comes from (seed, position)."""
        index = sample_at(self.seed, position, len(self.pixels))
        draws = draws_at(self.seed, position)
        flip = bool(draws.integers(2))
        moments = array_from(
            self.latents.read(index, "mirrored.npy" if flip else "moments.npy")
        ).astype(np.float32)
        label = png_pixels(self.pixels.read(index, "label.png"))
        if flip:
            label = mirror(label, self.mirrored)
        channels, height, width = moments.shape
        moments_noise = draws.standard_normal((channels // 2, height, width), dtype=np.float32)
        uniform = draws.random(dtype=np.float32)
        return TrainingSample(
            index=torch.tensor(index),
            moments=torch.from_numpy(moments),
            moments_noise=torch.from_numpy(moments_noise),
            label=torch.from_numpy(label.astype(np.int64)),
            uniform=torch.tensor(uniform),
            # Drawn last: how many numbers the masks take changes no other draw.
            **self.masks.draw(index, flip, label, draws),  # type: ignore[typeddict-item]
        )
