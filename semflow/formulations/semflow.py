"""SemFlow: a rectified flow between the two kinds of latents (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from semflow.flow.paths import draw_t, mask_estimate, path_sample
from semflow.flow.solvers import DOPRI5, SOLVERS, Solver, euler_states
from semflow.formulations.protocol import Draw, Network
from semflow.formulations.schema import FlowParams


class SemFlow:
    """The network is the velocity v(x, t) of the straight path (Eq. 9, 10), solved either way."""

    name = "semflow"
    samplers = (*SOLVERS, DOPRI5)
    draws_noise = False
    segments_from_noise = False

    def in_channels(self, latent_channels: int) -> int:
        """The latents' own: x_t."""
        return latent_channels

    def out_channels(self, latent_channels: int) -> int:
        """The latents' own: the velocity."""
        return latent_channels

    def draw(
        self, x_0: Tensor, x_1: Tensor, noise: Tensor | None, uniform: Tensor, params: FlowParams
    ) -> Draw:
        """x_t on the straight path; the target is its velocity, every sample weighs the same."""
        t = draw_t(uniform, params.probability_at_image, params.probability_at_mask)
        path = path_sample(x_0, x_1, t)
        return Draw(path.x_t, path.t, path.velocity, torch.ones_like(t))

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """Where the velocity would lead if it stayed the same up to t = 1."""
        return mask_estimate(draw.x_t, output, draw.t)

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, noise: Tensor | None
    ) -> Tensor:
        """Solves from t = 0 to 1 (Eq. 12)."""
        return solver.solve(network, x_0, 0.0, 1.0)

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, noise: Tensor | None
    ) -> Tensor:
        """Solves from t = 1 to 0 (Eq. 13)."""
        return solver.solve(network, x_1, 1.0, 0.0)

    def masks_ahead(
        self,
        network: Network,
        x_0: Tensor,
        x_1: Tensor,
        times: Sequence[float],
        num_steps: int,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """x_t + (1 - t) v(x_t, t), from x_t on the straight path and from Euler's own x_t."""
        same = [x_0.new_full((len(x_0),), t) for t in times]
        on_path = [path_sample(x_0, x_1, t).x_t for t in same]
        solved = euler_states(network, x_0, num_steps, times)

        def ahead(states: Sequence[Tensor]) -> list[Tensor]:
            """One straight step to t = 1 from each state."""
            outputs = map(network, states, times)
            return list(map(mask_estimate, states, outputs, same))

        return ahead(on_path), ahead(solved)
