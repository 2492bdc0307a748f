"""DSM: a conditional diffusion model that segments (Eq. 1 to 6), the paper's strongest peer.

The mask's latents are noised on Stable Diffusion's schedule, and the network predicts that noise
from them and from the image's latents beside them. It does not synthesize.

`dsm_v` answers with Salimans and Ho's v instead (arXiv 2202.00512, App. D): the noise is then
sqrt(1 - a_t) x_t and sqrt(a_t) times the answer, so that the network need not carry its input
through. An error of the noise itself is divided by sqrt(a_T) = 0.07 in the first step, which
a small network that is trained for minutes does not survive.

What the paper leaves open: where N steps lie. Here they are spaced from the end ("trailing"), so
that every N begins at the noisiest time; Stable Diffusion's own "leading" spacing begins one step
at time 1, as if noise were an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Generator, Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import Solver
from semflow.formulations.protocol import Draw, Learner, Network, Randoms, normal_like
from semflow.formulations.schema import DDIM, DDPM, SAMPLERS, WAYS, FlowParams
from semflow.networks.velocity import TIMESTEPS

SCHEDULE = {
    "num_train_timesteps": TIMESTEPS,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "timestep_spacing": "trailing",
}
"""Stable Diffusion 1.5's, but for the spacing."""


class DSM:
    """The network answers with the noise in the mask's latents; the image's stand beside them.

    t is the scheduler's timestep over 1000: 0 is a mask without noise, nearly 1 is noise.
    """

    name = "dsm"
    prediction_type = "epsilon"
    samplers = SAMPLERS["dsm"]
    starts_from_noise = True
    segments, synthesizes = WAYS["dsm"]

    def in_channels(self, latent_channels: int) -> int:
        """Twice the latents': the noised mask's, then the image's."""
        return 2 * latent_channels

    def out_channels(self, latent_channels: int) -> int:
        """The latents' own: the noise."""
        return latent_channels

    def noises(self, params: FlowParams) -> int:
        """One, for the mask."""
        return 1

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        """sqrt(a_t) x_1 + sqrt(1 - a_t) noise (Eq. 2), at a uniform timestep."""
        assert randoms.noise is not None
        steps = (randoms.uniform * TIMESTEPS).long()
        noised = DDPMScheduler(**SCHEDULE).add_noise(x_1, randoms.noise, steps)
        t = steps / TIMESTEPS
        return Draw(
            x_t=torch.cat([noised, x_0], dim=1),
            t=t,
            target=self.target(x_1, randoms.noise, steps),
            weight=torch.ones_like(t),
            unit_t=t,
            own=torch.zeros_like(t).bool(),
        )

    def target(self, x_1: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """What the network should answer with at timesteps (N,): the noise (Eq. 3)."""
        return noise

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        """The mask's latents if the network's answer were the true one."""
        alphas = DDPMScheduler(**SCHEDULE).alphas_cumprod.to(output)
        alpha = alphas[(draw.t * TIMESTEPS).round().long()][:, None, None, None]
        return self.mask_of(draw.x_t.chunk(2, dim=1)[0], output, alpha)

    def mask_of(self, noised: Tensor, output: Tensor, alpha: Tensor) -> Tensor:
        """The mask's latents by noised ones, an answer and a_t (N, 1, 1, 1)."""
        return (noised - (1 - alpha).sqrt() * output) / alpha.sqrt()

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """From noise to the mask's latents in N steps of DDIM (Eq. 6) or DDPM (Eq. 4, 5)."""
        assert solver.num_steps is not None
        sampler = {DDIM: DDIMScheduler, DDPM: DDPMScheduler}[solver.name]
        scheduler = sampler(**SCHEDULE, prediction_type=self.prediction_type)
        scheduler.set_timesteps(solver.num_steps)
        x = normal_like(x_0, generators)
        for number, timestep in enumerate(scheduler.timesteps):
            output = network(torch.cat([x, x_0], dim=1), float(timestep) / TIMESTEPS)
            # A generator for each sample, of which DDIM takes nothing.
            x = scheduler.step(output, timestep, x, generator=list(generators)).prev_sample
            if solver.after_step is not None:
                x = solver.after_step(number, float(timestep) / TIMESTEPS, x)
        return x

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        """There is no such direction.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{self.name} segments and does not synthesize; take another checkpoint")


class VPredictionDSM(DSM):
    """The network answers with v = sqrt(a_t) noise - sqrt(1 - a_t) x_1; the rest is DSM's."""

    name = "dsm_v"
    prediction_type = "v_prediction"
    samplers = SAMPLERS["dsm_v"]
    segments, synthesizes = WAYS["dsm_v"]

    def target(self, x_1: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """V at timesteps (N,)."""
        v: Tensor = DDPMScheduler(**SCHEDULE).get_velocity(x_1, noise, steps)
        return v

    def mask_of(self, noised: Tensor, output: Tensor, alpha: Tensor) -> Tensor:
        """The mask's latents by noised ones, an answer and a_t (N, 1, 1, 1)."""
        return alpha.sqrt() * noised - (1 - alpha).sqrt() * output
