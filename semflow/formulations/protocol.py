"""What a formulation is asked by the loss, the checkpoint, the pipeline and the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from semflow.flow.solvers import Solver
from semflow.formulations.schema import FlowParams

Network = Callable[[Tensor, float], Tensor]
"""(N, C_in, h, w) and t in [0, 1] -> (N, C_out, h, w)."""

Learner = Callable[[Tensor, Tensor], Tensor]
"""(N, C_in, h, w) and t (N,) in [0, 1] -> (N, C_out, h, w)."""


@dataclass(frozen=True)
class Randoms:
    """The random numbers of a batch of N samples, drawn with the samples.

    Args:
        uniform: (N,) float32 in [0, 1), what t is drawn from.
        noise: (N, C, h, w) standard normal where the formulation draws it, else None.
        own_uniform: (N,) float32 in [0, 1), what own states are chosen by; None without them.
        own_steps: Euler steps to own states, one number for all samples of a training step.
    """

    uniform: Tensor
    noise: Tensor | None = None
    own_uniform: Tensor | None = None
    own_steps: int = 1


@dataclass(frozen=True)
class Draw:
    """What the network is asked for a batch of samples, and what it should answer.

    Args:
        x_t: (N, C_in, h, w) float32, its input.
        t: (N,) float32 in [0, 1].
        target: (N, C_out, h, w) float32.
        weight: (N,) float32, of each sample's squared error.
        unit_t: (N,) float32, the time whose unexplained deviation is the unit of the error.
        own: (N,) bool, whether x_t is where the network itself got to.
    """

    x_t: Tensor
    t: Tensor
    target: Tensor
    weight: Tensor
    unit_t: Tensor
    own: Tensor


class Formulation(Protocol):
    """One way to learn both directions between image latents x_0 and mask latents x_1.

    name: Key in FORMULATIONS, of params.yaml, of checkpoints and of results.
    samplers: Names of the ways to solve it; the first is the usual one.
    segments_from_noise: Whether `to_mask` starts from noise, so that segmentation takes a seed.
    """

    name: str
    samplers: tuple[str, ...]
    segments_from_noise: bool

    def in_channels(self, latent_channels: int) -> int:
        """Channels of the network's input, for latents of so many."""
        ...

    def out_channels(self, latent_channels: int) -> int:
        """Channels of the network's output, for latents of so many."""
        ...

    def draws_noise(self, params: FlowParams) -> bool:
        """Whether `draw` uses noise."""
        ...

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        """What a batch is trained on.

        Args:
            network: What is trained, for states that it gets to itself.
            x_0: Image latents (N, C, h, w).
            x_1: Mask latents (N, C, h, w).
            randoms: The batch's random numbers.
            params: Where t is drawn, and how.
        """
        ...

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """Mask latents (N, C, h, w) that the network's output amounts to, in one step."""
        ...

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, noise: Tensor | None
    ) -> Tensor:
        """Segments: image latents (N, C, h, w) -> mask latents (N, C, h, w).

        Args:
            network: The trained network.
            x_0: Image latents.
            solver: One whose name is in `samplers`, with the number of steps that it takes.
            noise: (N, C, h, w) standard normal where `segments_from_noise`, else None.
        """
        ...

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, noise: Tensor | None
    ) -> Tensor:
        """Synthesizes: mask latents (N, C, h, w) -> image latents (N, C, h, w); as `to_mask`."""
        ...

    def masks_ahead(
        self,
        network: Network,
        x_0: Tensor,
        x_1: Tensor,
        times: Sequence[float],
        num_steps: int,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What the network would answer in one step from points on the way from image to mask.

        Args:
            network: The trained network.
            x_0: Image latents (N, C, h, w).
            x_1: Mask latents (N, C, h, w) of the same samples.
            times: Increasing, in [0, 1).
            num_steps: Of the solver.

        Returns:
            Mask latents (N, C, h, w) for each time: from the true points between x_0 and x_1, and
            from those that the first-order solver reaches from x_0 alone.
        """
        ...
