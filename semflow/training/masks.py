"""Where a training sample's mask end comes from, by the noise mode of its shards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.pseudo_masks.palette import Palette
from semflow.shards.tar import ShardFolder, array_from


class Masks(Protocol):
    """Gives the mask end of a sample."""

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """The sample's tensors that say what x_1 is.

        Args:
            index: position of the sample in its shard folder.
            flip: whether it is mirrored.
            label: (H, W) ids, mirrored already.
            draws: of the sample's position in the training order.
        """
        ...


@dataclass(frozen=True)
class NoMasks:
    """For a model that learns from labels alone."""

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class OnlineMasks:
    """The pseudo-mask and its noise, new at every position; to be encoded by the loss."""

    palette: Palette

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`pseudo_mask` and `mask_noise`, (3, H, W) float32."""
        pseudo_mask = self.palette.colorize(label).astype(np.float32) / 127.5 - 1
        return {
            "pseudo_mask": torch.from_numpy(pseudo_mask).permute(2, 0, 1),
            "mask_noise": torch.from_numpy(self.palette.grain.draw(draws, label.shape)),
        }


@dataclass(frozen=True)
class VariantMasks:
    """One of the stored draws."""

    folder: ShardFolder
    count: int

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`x_1`, (C, h, w) float32."""
        name = f"{'mirrored' if flip else 'plain'}{draws.integers(self.count)}.npy"
        return {"x_1": torch.from_numpy(_array(self.folder, index, name))}


@dataclass(frozen=True)
class MomentMasks:
    """A normal draw with the stored mean and standard deviation."""

    folder: ShardFolder

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`x_1`, (C, h, w) float32."""
        mean, deviation = _array(self.folder, index, "mirrored.npy" if flip else "plain.npy")
        normal = draws.standard_normal(mean.shape, dtype=np.float32)
        return {"x_1": torch.from_numpy(mean + deviation * normal)}


def _array(folder: ShardFolder, index: int, name: str) -> NDArray[np.float32]:
    return array_from(folder.read(index, name)).astype(np.float32)
