"""Both ends of the flow on one scale: every channel of each to mean 0 and deviation 1, and back."""

from __future__ import annotations

from typing import Self

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

SMALLEST = 1e-3
"""Deviation of a channel that is constant: dividing by less would blow up rounding errors."""


class Ends(ModelMixin, ConfigMixin):
    """Affine maps per channel between latents and the space that the flow runs in.

    An image's narrow channels are a hundredth of a mask's, so that on the straight path between
    latents as they are an image's second chroma is decided in the last twentieth of the way, where
    the velocity's gain reaches 10. Between standardised ends no channel's gain exceeds 1, and the
    path is as straight as before, since the maps are affine.

    Args:
        channels: C of the latents.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, channels: int) -> None:
        super().__init__()
        # Parameters, since save_pretrained keeps these; nothing ever trains them.
        self.mean = nn.Parameter(torch.zeros(2, channels), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(2, channels), requires_grad=False)

    @classmethod
    def of(cls, x_0: Tensor, x_1: Tensor) -> Self:
        """Estimates both maps.

        Args:
            x_0: Image latents (N, C, h, w).
            x_1: Mask latents (N, C, h, w).
        """
        ends = cls(x_0.shape[1])
        for end, x in enumerate((x_0, x_1)):
            values = x.transpose(0, 1).flatten(1).double()
            ends.mean.data[end] = values.mean(dim=1)
            ends.deviation.data[end] = values.std(dim=1).clamp(min=SMALLEST)
        return ends

    def image_in(self, x_0: Tensor) -> Tensor:
        """Image latents (N, C, h, w) -> the flow's point at t = 0."""
        return (x_0 - self._mean(0)) / self._deviation(0)

    def image_out(self, x: Tensor) -> Tensor:
        """The flow's point at t = 0 -> image latents (N, C, h, w)."""
        return x * self._deviation(0) + self._mean(0)

    def mask_in(self, x_1: Tensor) -> Tensor:
        """Mask latents (N, C, h, w) -> the flow's point at t = 1."""
        return (x_1 - self._mean(1)) / self._deviation(1)

    def mask_out(self, x: Tensor) -> Tensor:
        """The flow's point at t = 1 -> mask latents (N, C, h, w)."""
        return x * self._deviation(1) + self._mean(1)

    def _mean(self, end: int) -> Tensor:
        return self.mean[end, :, None, None]

    def _deviation(self, end: int) -> Tensor:
        return self.deviation[end, :, None, None]
