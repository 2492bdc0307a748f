"""What a peer learns from: the flow's samples in the flow's order, with their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from semflow.training.samples import TrainingSample


class PeerSample(TrainingSample):
    """A training sample with its image.

    image: (3, H, W) float32 in [-1, 1].
    synthesis_noise: (noise_width,) float32 standard normal.
    """

    image: Tensor
    synthesis_noise: Tensor


@dataclass(frozen=True)
class Images:
    """The image in place of a mask end, mirrored as its label is.

    Args:
        pixels: pixel shards of the train split.
        noise_width: numbers of a synthesis's draw.
    """

    pixels: ShardFolder
    noise_width: int

    def draw(
        self, index: int, flip: bool, label: NDArray[np.uint8], draws: np.random.Generator
    ) -> dict[str, Tensor]:
        """`image` (3, H, W) float32 in [-1, 1], and `synthesis_noise` (noise_width,) float32."""
        image = png_pixels(self.pixels.read(index, "image.png"))
        # Copied: what a PNG gives is read-only, and what is flipped has negative strides.
        image = np.array(image[:, ::-1] if flip else image)
        noise = draws.standard_normal(self.noise_width, dtype=np.float32)
        scaled = torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1
        return {"image": scaled, "synthesis_noise": torch.from_numpy(noise)}


def with_image(batch: TrainingSample) -> PeerSample:
    """A batch of samples whose mask source is `Images`."""
    return cast(PeerSample, batch)
