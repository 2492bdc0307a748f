"""What one training sample is made of, drawn from the shards by its position in the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from semflow.palette import Palette
from semflow.shards.tar import ShardFolder, array_from, png_pixels
from semflow.training.order import draws_at, sample_at


class TrainingSample(TypedDict):
    """One sample, or a batch of them with a leading dimension N.

    index: () int64, the sample's position in its shard folder, for messages.
    moments: (2C, h, w) float32, the image's posterior mean and log variance.
    moments_noise: (C, h, w) float32 standard normal.
    label: (H, W) int64 ids.
    pseudo_mask: (3, H, W) float32 in [-1, 1].
    mask_noise: (3, H, W) float32 in [-1, 1).
    uniform: () float32 in [0, 1), what t is drawn from.
    """

    index: Tensor
    moments: Tensor
    moments_noise: Tensor
    label: Tensor
    pseudo_mask: Tensor
    mask_noise: Tensor
    uniform: Tensor


@dataclass(frozen=True)
class TrainingSamples(Dataset[TrainingSample]):
    """Samples by their position in the endless training order.

    Args:
        pixels: pixel shards of the train split.
        latents: image latent shards of the same samples in the same order.
        palette: colours the labels.
        mirrored: class ids after a left-right flip.
        seed: of order and draws.
    """

    pixels: ShardFolder
    latents: ShardFolder
    palette: Palette
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
            label = self._mirror(label)
        channels, height, width = moments.shape
        pseudo_mask = self.palette.colorize(label).astype(np.float32) / 127.5 - 1
        moments_noise = draws.standard_normal((channels // 2, height, width), dtype=np.float32)
        uniform = draws.random(dtype=np.float32)
        # Drawn last: its grain, which decides how many numbers it takes, changes no other draw.
        mask_noise = self.palette.grain.draw(draws, label.shape)
        return TrainingSample(
            index=torch.tensor(index),
            moments=torch.from_numpy(moments),
            moments_noise=torch.from_numpy(moments_noise),
            label=torch.from_numpy(label.astype(np.int64)),
            pseudo_mask=torch.from_numpy(pseudo_mask).permute(2, 0, 1),
            mask_noise=torch.from_numpy(mask_noise),
            uniform=torch.tensor(uniform),
        )

    def _mirror(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        table = np.arange(256, dtype=np.uint8)
        table[: len(self.mirrored)] = self.mirrored
        return table[label[:, ::-1]]
