"""What a formulation is asked by the loss, the checkpoint, the pipeline and the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Generator, Tensor

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
        noise: (N, K * C, h, w) standard normal where the formulation draws K of them, else None.
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
        weight: (N,) float32, of each sample's squared error; or (N, C_out, 1, 1), by channel.
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
    starts_from_noise: Whether solving draws random numbers, so that segmentation takes a seed too.
    segments: Whether it goes from image to mask.
    synthesizes: Whether it goes from mask to image as well.
    """

    name: str
    samplers: tuple[str, ...]
    starts_from_noise: bool
    segments: bool
    synthesizes: bool

    def in_channels(self, latent_channels: int) -> int:
        """Channels of the network's input, for latents of so many."""
        ...

    def out_channels(self, latent_channels: int) -> int:
        """Channels of the network's output, for latents of so many."""
        ...

    def noises(self, params: FlowParams) -> int:
        """How many normal numbers `draw` takes for each number of the latents."""
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
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """Segments: image latents (N, C, h, w) -> mask latents (N, C, h, w).

        Args:
            network: The trained network.
            x_0: Image latents.
            solver: One whose name is in `samplers`, with the number of steps that it takes.
            generators: One for each sample, so that a batch changes nothing; what does not start
                from noise leaves them alone.
        """
        ...

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """Synthesizes: mask latents (N, C, h, w) -> image latents (N, C, h, w); as `to_mask`.

        Raises:
            UserError: The formulation does not synthesize.
        """
        ...


@runtime_checkable
class PathFormulation(Formulation, Protocol):
    """One whose state goes from image to mask, so that its answers on the way can be compared."""

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


def normal_like(latents: Tensor, generators: Sequence[Generator]) -> Tensor:
    """(N, C, h, w) standard normal on the latents' device, each sample from its own generator."""
    shape = latents.shape[1:]
    drawn = [torch.randn(shape, generator=generator) for generator in generators]
    return torch.stack(drawn).to(latents)
