"""What one training sample is made of, drawn from the shards by its position in the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, Protocol, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from semflow.core.labels import mirror
from semflow.core.seeds import draws_at, sample_at, steps_at
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import color_planes
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import array_from, png_pixels

Pixels = NDArray[np.uint8]
STATISTICS_BATCH = 64
STATISTICS_SAMPLES = 1024
"""To estimate scales from, where no closed form asks for a number of its own."""


class TrainingSample(TypedDict):
    """One sample, or a batch of them with a leading dimension N.

    index: () int64, position of the sample in its shard folder, for messages.
    moments: (2C, h, w) float32, posterior mean and log variance of the image.
    moments_noise: (C, h, w) float32 standard normal.
    label: (H, W) int64 ids.
    uniform: () float32 in [0, 1), what t is drawn from.
    pseudo_mask, mask_noise: (3, H, W) float32 in [-1, 1], where masks are encoded online.
    x_1: (C, h, w) float32, mask latents, where they are cached.
    noise: (K * C, h, w) float32 standard normal, where the formulation draws K of them.
    latent_noise: (C, h, w) float32 standard normal, where masks are perturbed as latents too.
    own_uniform: () float32 in [0, 1), what own states are chosen by, where there are any.
    own_steps: () int64, Euler steps to own states; the same for all samples of a training step.
    """

    index: Tensor
    moments: Tensor
    moments_noise: Tensor
    label: Tensor
    uniform: Tensor
    pseudo_mask: NotRequired[Tensor]
    mask_noise: NotRequired[Tensor]
    x_1: NotRequired[Tensor]
    noise: NotRequired[Tensor]
    latent_noise: NotRequired[Tensor]
    own_uniform: NotRequired[Tensor]
    own_steps: NotRequired[Tensor]


@dataclass(frozen=True)
class Extras:
    """What samples draw beyond what every flow needs.

    Args:
        noises: How many normal numbers the formulation draws for each of the latents'.
        latent_noise: Whether masks are perturbed as latents too.
        own_steps: The most Euler steps to an own state; 0 where there are none.
        batch_size: Samples of a training step over all processes.
    """

    noises: int = 0
    latent_noise: bool = False
    own_steps: int = 0
    batch_size: int = 1


class MaskSource(Protocol):
    """Where a sample's mask end comes from."""

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """The tensors that say what x_1 is.

        Args:
            index: Position of the sample in its shard folder.
            flip: Whether the sample is mirrored.
            label: (H, W) ids, mirrored already.
            draws: Generator of the sample's position in the training order.
        """
        ...


@dataclass(frozen=True)
class NoMasks:
    """For a model that learns from labels alone."""

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class OnlineMasks:
    """The pseudo-mask and its noise, new at every position; to be encoded by the loss.

    Args:
        colors: (256, 3) uint8, the palette of the pseudo-masks by label id.
        noise: Perturbs them.
    """

    colors: Pixels
    noise: Noise

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`pseudo_mask` and `mask_noise`, (3, H, W) float32."""
        return {
            "pseudo_mask": torch.from_numpy(color_planes(label, self.colors)),
            "mask_noise": torch.from_numpy(self.noise.draw(draws, label.shape)),
        }


@dataclass(frozen=True)
class VariantMasks:
    """One of the stored draws."""

    latents: ShardFolder
    count: int

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`x_1`, (C, h, w) float32."""
        name = f"{'mirrored' if flip else 'plain'}{draws.integers(self.count)}.npy"
        return {"x_1": torch.from_numpy(_array(self.latents, index, name))}


@dataclass(frozen=True)
class MomentMasks:
    """A normal draw with the stored mean and standard deviation."""

    latents: ShardFolder

    def draw(
        self, index: int, flip: bool, label: Pixels, draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`x_1`, (C, h, w) float32."""
        mean, deviation = _array(self.latents, index, "mirrored.npy" if flip else "plain.npy")
        normal = draws.standard_normal(mean.shape, dtype=np.float32)
        return {"x_1": torch.from_numpy(mean + deviation * normal)}


@dataclass(frozen=True)
class TrainingSamples(Dataset[TrainingSample]):
    """Samples by their position in the endless training order.

    Args:
        labels: Shards of the train split that hold labels: pixel shards, or pseudo-masks.
        label_member: Extension of the label in them.
        latents: Image latent shards of the same samples in the same order.
        masks: Where mask ends come from.
        mirrored: Class ids after a left-right flip.
        seed: Base seed of order and draws.
        extras: What else samples draw.
    """

    labels: ShardFolder
    label_member: str
    latents: ShardFolder
    masks: MaskSource
    mirrored: tuple[int, ...]
    seed: int
    extras: Extras = Extras()

    def __getitem__(self, position: int) -> TrainingSample:
        """The sample at a position; every draw comes from (seed, position)."""
        index = sample_at(self.seed, position, len(self.latents))
        draws = draws_at(self.seed, position)
        flip = bool(draws.integers(2))
        moments = _array(self.latents, index, "mirrored.npy" if flip else "moments.npy")
        label = png_pixels(self.labels.read(index, self.label_member))
        if flip:
            label = mirror(label, self.mirrored)
        channels, height, width = moments.shape
        latent_shape = (channels // 2, height, width)
        moments_noise = draws.standard_normal(latent_shape, dtype=np.float32)
        uniform = draws.random(dtype=np.float32)
        sample = TrainingSample(
            index=torch.tensor(index),
            moments=torch.from_numpy(moments),
            moments_noise=torch.from_numpy(moments_noise),
            label=torch.from_numpy(label.astype(np.int64)),
            uniform=torch.tensor(uniform),
            # Drawn late: how many numbers the masks take changes no other draw.
            **self.masks.draw(index, flip, label, draws),  # type: ignore[typeddict-item]
        )
        if self.extras.noises:
            channels, *cells = latent_shape
            shape = (self.extras.noises * channels, *cells)
            noise = draws.standard_normal(shape, dtype=np.float32)
            sample["noise"] = torch.from_numpy(noise)
        if self.extras.latent_noise:
            noise = draws.standard_normal(latent_shape, dtype=np.float32)
            sample["latent_noise"] = torch.from_numpy(noise)
        if self.extras.own_steps:
            sample["own_uniform"] = torch.tensor(draws.random(dtype=np.float32))
            sample["own_steps"] = torch.tensor(self._own_steps(position))
        return sample

    def _own_steps(self, position: int) -> int:
        """One number for all samples of a training step, whichever process has them."""
        first = position // self.extras.batch_size * self.extras.batch_size
        return 1 + int(steps_at(self.seed, first).integers(self.extras.own_steps))

    def key(self, index: int) -> str:
        """Key of the sample at a position of the shard folder."""
        return self.latents.key(index)


def first_batches(samples: TrainingSamples, count: int | None) -> DataLoader[TrainingSample]:
    """The training order's first samples, to estimate from.

    Args:
        samples: By position.
        count: How many; None for STATISTICS_SAMPLES.
    """
    positions = torch.arange(STATISTICS_SAMPLES if count is None else count)
    parts = [part.tolist() for part in positions.split(STATISTICS_BATCH)]
    return DataLoader(samples, batch_sampler=parts)


def _array(folder: ShardFolder, index: int, name: str) -> NDArray[np.float32]:
    return array_from(folder.read(index, name)).astype(np.float32)
