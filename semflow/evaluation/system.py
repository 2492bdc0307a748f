"""What an evaluation asks of a system: its two ends, and the ways between them.

A `SemFlowPipeline` is one. A peer is another; its ends are images and labels themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Directions(Protocol):
    """Which ways a system goes."""

    @property
    def segments(self) -> bool:
        """Whether from image to mask."""
        ...

    @property
    def synthesizes(self) -> bool:
        """Whether from mask to image."""
        ...


class EvaluatedSystem(Protocol):
    """A trained system on its device; x_0 and x_1 are its own forms of an image and a label."""

    @property
    def config(self) -> Any:
        """formulation, class_names, image_size, solver, segment_steps, synthesize_steps.

        And tolerance, where it has a solver that chooses its own steps.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    @property
    def formulation(self) -> Directions:
        """Which ways it goes."""
        ...

    @property
    def field(self) -> nn.Module:
        """Called with N samples for each evaluation of its network; never called from here."""
        ...

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> x_0."""
        ...

    def encode_label(self, label: Tensor, noise: Any) -> Tensor:
        """Label ids (N, H, W) uint8 -> x_1, perturbed by noise of `draw_noise` or not at all."""
        ...

    def to_mask(
        self,
        x_0: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor:
        """Segments: x_0 -> x_1; the system's defaults where None."""
        ...

    def to_image(
        self,
        x_1: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor:
        """Synthesizes: x_1 -> x_0; the system's defaults where None."""
        ...

    def class_scores(self, x_1: Tensor) -> Tensor:
        """x_1 -> scores (N, K, H, W)."""
        ...

    def decode_pixels(self, x_0: Tensor) -> Tensor:
        """x_0 -> pixels (N, H, W, 3) uint8."""
        ...

    def draw_noise(self, items: Sequence[int], seed: int) -> Any:
        """What perturbs the labels of N items, by (seed, item)."""
        ...

    def generators(self, items: Sequence[int], seed: int) -> list[torch.Generator]:
        """What N items draw from on their way, by (seed, item); none where they draw nothing."""
        ...
