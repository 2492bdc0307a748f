"""BBDM: a Brownian bridge from mask to image (Li et al. 2023, arXiv 2205.07680); it synthesizes.

The paper counts as this project does: its x_0 is the image (t = 0 here), its y = x_T the mask (x_1,
t = 1 here), and its m_t = t / T with T = 1000 is t here. With d_t = 2 s (t - t^2) and s = 1:

    forward   x_t = (1 - t) x_0 + t x_1 + sqrt(d_t) noise
    target    t (x_1 - x_0) + sqrt(d_t) noise, which is x_t - x_0: x_t less the answer estimates x_0
    from t    x_u ~ N((1 - u) x_0 + u x_1 + sqrt((d_u - v) / d_t) (x_t - (1 - t) x_0 - t x_1), v)
    to u < t  with v = eta^2 d_{t|u} d_u / d_t and d_{t|u} = d_t - d_u (1 - t)^2 / (1 - u)^2

The last one is its accelerated sampler. eta = 1 is the bridge's own chain, whose steps compose: two
of them are distributed as the one over both.

What the paper leaves open, or what was chosen here:

- Its first step divides by d_1 = 0. At t = 1 the state is the mask, without noise to keep, so that
  all of d_u is drawn there whatever eta is, and x_u is distributed as in training.
- eta: 1 (`bridge`, the usual one) or 0 (`bridge_ddim`, where only that first noise is drawn).
- Where N steps lie: on the solver's grid, uniform in its recipe, from t = 1 to 0.
- The loss: squared, as in its algorithm, and without the bound's weight.
- The network sees x_t alone, as its equations have it, and not the mask beside it.
- s = 1 presumes ends of deviation 1, which its recipe standardises to; masks are not perturbed
  beside the bridge's noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

import torch
from torch import Generator, Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import Solver, time_grid
from semflow.formulations.protocol import Draw, Learner, Network, Randoms, normal_like
from semflow.formulations.schema import BRIDGE, BRIDGE_DDIM, SAMPLERS, WAYS, FlowParams
from semflow.networks.velocity import TIMESTEPS

SCALE = 1.0
"""The paper's s: the bridge's variance is s / 2 in its middle."""
ETAS = {BRIDGE: 1.0, BRIDGE_DDIM: 0.0}
"""The share of the chain's own deviation that a sampler draws anew in each step."""


class BBDM:
    """The network answers with what lies between x_t and the image."""

    name = "bbdm"
    samplers = SAMPLERS["bbdm"]
    starts_from_noise = True
    segments, synthesizes = WAYS["bbdm"]

    def in_channels(self, latent_channels: int) -> int:
        """The latents' own: x_t."""
        return latent_channels

    def out_channels(self, latent_channels: int) -> int:
        """The latents' own: x_t - x_0."""
        return latent_channels

    def noises(self, params: FlowParams) -> int:
        """One, of the bridge."""
        return 1

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        """A point of the bridge at t = 1/1000, 2/1000, ... 1, each as often; target x_t - x_0."""
        assert randoms.noise is not None
        t = ((randoms.uniform * TIMESTEPS).long() + 1) / TIMESTEPS
        share = t[:, None, None, None]
        between = share * (x_1 - x_0) + (2 * SCALE * share * (1 - share)).sqrt() * randoms.noise
        return Draw(
            x_t=x_0 + between,
            t=t,
            target=between,
            weight=torch.ones_like(t),
            unit_t=t,
            own=torch.zeros_like(t).bool(),
        )

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """There is none: the mask is where it starts.

        Raises:
            UserError: Always.
        """
        self._refuse()

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """There is no such direction.

        Raises:
            UserError: Always.
        """
        self._refuse()

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """From the mask's latents to the image's in N steps of the accelerated sampler."""
        assert solver.num_steps is not None
        x = x_1
        grid = time_grid(1.0, 0.0, solver.num_steps, solver.grid_power)
        for number, (t, u) in enumerate(pairwise(grid)):
            x_0 = x - network(x, t)
            kept, variance = step(t, u, ETAS[solver.name])
            around = x - torch.lerp(x_0, x_1, t)
            x = torch.lerp(x_0, x_1, u) + kept * around
            if variance > 0:
                x = x + math.sqrt(variance) * normal_like(x, generators)
            if solver.after_step is not None:
                x = solver.after_step(number, t, x)
        return x

    def _refuse(self) -> NoReturn:
        raise UserError(f"{self.name} synthesizes and does not segment; take another checkpoint")


def bridge_variance(t: float) -> float:
    """d_t, of x_t around the straight path between both ends."""
    return 2 * SCALE * t * (1 - t)


def step(t: float, u: float, eta: float) -> tuple[float, float]:
    """What a step from t to u keeps of x_t's distance from the path, and the variance it adds.

    The chain's variance d_{t|u} d_u / d_t is 2 s u (t - u) / t, which needs no division by d_1 = 0.

    Args:
        t: In (0, 1].
        u: In [0, t).
        eta: In [0, 1].

    Returns:
        sqrt((d_u - v) / d_t) and v; 0 and d_u from t = 1, where x_t is on the path.
    """
    if t == 1:
        return 0.0, bridge_variance(u)
    variance = eta**2 * 2 * SCALE * u * (t - u) / t
    # Below 0 by rounding alone.
    left = max(0.0, bridge_variance(u) - variance)
    return math.sqrt(left / bridge_variance(t)), variance
