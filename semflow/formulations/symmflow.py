"""SymmFlow (AAAI 2026): two rectified flows in one network, in opposite directions.

While t goes from 0 to 1, an image becomes noise and noise becomes a mask: segmentation starts from
an image and noise, synthesis from a mask and noise.

What the paper leaves open: how t is drawn (here as params.yaml says, uniformly in its recipe),
which times a step count means (here the solver's grid), and whether masks are perturbed beside the
noise that they start from (its recipe: no).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from semflow.flow.paths import draw_t
from semflow.flow.solvers import Solver
from semflow.formulations.protocol import Draw, Learner, Network, Randoms, normal_like
from semflow.formulations.schema import SAMPLERS, FlowParams

IMAGE_WEIGHT, MASK_WEIGHT = 0.7, 0.3
"""Of the two halves of the loss, as the paper has them."""


class SymmFlow:
    """The network is the velocity of (image, mask) latents side by side, solved either way."""

    name = "symmflow"
    samplers = SAMPLERS["symmflow"]
    starts_from_noise = True
    segments = True
    synthesizes = True

    def in_channels(self, latent_channels: int) -> int:
        """Twice the latents': the image's, then the mask's."""
        return 2 * latent_channels

    def out_channels(self, latent_channels: int) -> int:
        """Twice the latents': the velocities of both."""
        return 2 * latent_channels

    def noises(self, params: FlowParams) -> int:
        """Two: what the image becomes, and what becomes the mask."""
        return 2

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        """Both straight paths at one t; target their velocities, weighted 0.7 and 0.3."""
        assert randoms.noise is not None
        t = draw_t(
            randoms.uniform, params.probability_at_image, params.probability_at_mask, params.t_power
        )
        image_noise, mask_noise = randoms.noise.chunk(2, dim=1)
        start = torch.cat([x_0, mask_noise], dim=1)
        end = torch.cat([image_noise, x_1], dim=1)
        share = t[:, None, None, None]
        channels = x_0.shape[1]
        # The loss is a mean over all channels: twice their halves' weights.
        weight = torch.cat(
            [
                t.new_full((channels,), 2 * IMAGE_WEIGHT),
                t.new_full((channels,), 2 * MASK_WEIGHT),
            ]
        )
        return Draw(
            x_t=(1 - share) * start + share * end,
            t=t,
            target=end - start,
            weight=weight[None, :, None, None].expand(len(t), -1, 1, 1),
            unit_t=t,
            own=torch.zeros_like(t).bool(),
        )

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """Where the mask's half would be at t = 1 if its velocity stayed the same."""
        left = (1 - draw.t)[:, None, None, None]
        return draw.x_t.chunk(2, dim=1)[1] + left * output.chunk(2, dim=1)[1]

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """From (image, noise) at t = 0 to (noise, mask) at t = 1."""
        start = torch.cat([x_0, normal_like(x_0, generators)], dim=1)
        return solver.solve(network, start, 0.0, 1.0).chunk(2, dim=1)[1]

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """From (noise, mask) at t = 1 to (image, noise) at t = 0."""
        start = torch.cat([normal_like(x_1, generators), x_1], dim=1)
        return solver.solve(network, start, 1.0, 0.0).chunk(2, dim=1)[0]
