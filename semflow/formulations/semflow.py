"""SemFlow: a rectified flow between the two kinds of latents (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from semflow.flow.paths import bridge_sample, draw_t, mask_estimate, path_sample
from semflow.flow.solvers import Solver, euler_states
from semflow.formulations.protocol import Draw, Learner, Network, Randoms
from semflow.formulations.schema import SAMPLERS, FlowParams


class SemFlow:
    """The network is the velocity v(x, t) of the straight path (Eq. 9, 10), solved either way."""

    name = "semflow"
    samplers = SAMPLERS["semflow"]
    starts_from_noise = False
    segments = True
    synthesizes = True

    def in_channels(self, latent_channels: int) -> int:
        """The latents' own: x_t."""
        return latent_channels

    def out_channels(self, latent_channels: int) -> int:
        """The latents' own: the velocity."""
        return latent_channels

    def noises(self, params: FlowParams) -> int:
        """One for bridges around the path, else none."""
        return int(params.bridge_noise > 0)

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        """x_t on the straight path, target its velocity (Eq. 9, 10); or an own state."""
        t = draw_t(
            randoms.uniform, params.probability_at_image, params.probability_at_mask, params.t_power
        )
        own = torch.zeros_like(t).bool()
        if randoms.own_uniform is not None and params.own_states is not None:
            own = (t > 0) & (t < 1) & (randoms.own_uniform < params.own_states.share)
            t = torch.where(own, t * params.own_states.until, t)
        path = path_sample(x_0, x_1, t)
        if randoms.noise is not None:
            path = bridge_sample(path, randoms.noise, params.bridge_noise)
        on_path = Draw(
            path.x_t, t, path.velocity, torch.ones_like(t), t, torch.zeros_like(t).bool()
        )
        if params.own_states is None or randoms.own_uniform is None:
            return on_path
        return with_own_states(on_path, own, network, x_0, x_1, randoms.own_steps)

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """Where the velocity would lead if it stayed the same up to t = 1."""
        return mask_estimate(draw.x_t, output, draw.t)

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """Solves from t = 0 to 1 (Eq. 12)."""
        return solver.solve(network, x_0, 0.0, 1.0)

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
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


def with_own_states(
    draw: Draw, own: Tensor, network: Learner, x_0: Tensor, x_1: Tensor, num_steps: int
) -> Draw:
    """Puts some samples where the network gets to by itself; the target leads from there to x_1.

    On the path x_t carries the true label; a solver's own x_t carries the network's guess, and a
    network that never saw that difference believes what it reads there. The error is that of the
    end x_t + (1 - t) v, in the units of t = 0: that of a velocity grows without bound near t = 1.

    Args:
        draw: All samples on the path.
        own: (N,) bool, which samples are moved.
        network: Its gradient does not flow through the way there.
        x_0: Image latents (N, C, h, w).
        x_1: Mask latents (N, C, h, w).
        num_steps: Euler steps from x_0 to the sample's t.
    """
    # Networks in shards answer when all processes ask: each asks as often, whatever it has drawn.
    rows = own.nonzero()[:, 0] if bool(own.any()) else own.new_zeros(1, dtype=torch.long)
    states = roll_out(network, x_0[rows], draw.t[rows], num_steps)
    moved = draw.x_t.index_copy(0, rows, states)
    chosen = own[:, None, None, None]
    left = (1 - draw.t)[:, None, None, None].clamp(min=1e-6)
    return Draw(
        x_t=torch.where(chosen, moved, draw.x_t),
        t=draw.t,
        target=torch.where(chosen, (x_1 - moved) / left, draw.target),
        weight=torch.where(own, (1 - draw.t).square(), draw.weight),
        unit_t=torch.where(own, 0.0, draw.unit_t),
        own=own,
    )


@torch.no_grad()
def roll_out(network: Learner, x_0: Tensor, t: Tensor, num_steps: int) -> Tensor:
    """Where equal Euler steps from t = 0 lead.

    Args:
        network: The velocity field.
        x_0: (N, C, h, w).
        t: (N,), each sample's own time.
        num_steps: For all samples; a sample's steps are t / num_steps long.
    """
    x, length = x_0, (t / num_steps)[:, None, None, None]
    for step in range(num_steps):
        x = x + length * network(x, t * (step / num_steps))
    return x
