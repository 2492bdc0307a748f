"""A checkpoint's parts and what they do with latents: both directions of one velocity field."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import AfterStep, Solver
from semflow.formulations.protocol import Network, PathFormulation
from semflow.formulations.registry import FORMULATIONS
from semflow.inference.draws import item_generators
from semflow.inference.steps import solver_for
from semflow.inference.windows import Windows
from semflow.networks.anchors import anchor_distances, unit_range_anchors
from semflow.networks.encoding import (
    Autoencoder,
    decode,
    encode,
    latent_shape,
    to_pixels,
    to_unit_range,
)
from semflow.networks.ends import Ends
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.statistics import LatentStatistics
from semflow.networks.velocity import PaddingMode, make_field
from semflow.pseudo_masks.noise import (
    MaskNoise,
    Noise,
    draw_latent_noise,
    draw_noise,
    perturb,
)
from semflow.pseudo_masks.palette import Palette


class LatentPipeline(DiffusionPipeline):
    """Both directions of one velocity field, with the palette and defaults it was made for.

    Args:
        vae: pixels <-> latents.
        unet: the backbone of v(x, t).
        null_prompt: the embedding of the empty prompt.
        statistics: what the backbone is preconditioned by; None where it stands alone.
        ends: what brings both ends to one scale; None where the flow runs between latents as
            they are.
        anchors: (K, 3) grey levels, the colour of each class in the flow.
        ignore_color: grey levels of pixels without a class.
        amplitude: beta of Eq. 14, grey levels.
        noise_cells: distances of the noise's grid points, pixels, one for each of its parts.
        noise_shares: share of the amplitude of each part.
        latent_noise: deviation of the normal noise on a mask's latents.
        class_names: K names.
        class_colors: (K, 3) display colours.
        image_size: height and width the model was trained at, pixels.
        segment_steps: default number of solver steps from image to mask.
        synthesize_steps: default number of solver steps from mask to image.
        solver: name of the default solver, one that takes a number of steps.
        last_step_from: t where the last step to the mask starts; None where the grid says it.
        grid_power: p of the solver's times t_i = (i / steps) ** p; 1 for a uniform grid.
        tolerance: absolute and relative, of a solver that chooses its own steps.
        formulation: name of what the network is: a key of FORMULATIONS.
        padding_mode: what the backbone's convolutions see beyond the border.
    """

    _optional_components: ClassVar = ["statistics", "ends"]

    def __init__(
        self,
        vae: Autoencoder,
        unet: UNet2DConditionModel,
        null_prompt: NullPrompt,
        statistics: LatentStatistics | None = None,
        ends: Ends | None = None,
        anchors: list[list[float]] = [],  # noqa: B006
        ignore_color: list[float] = [0.0, 0.0, 0.0],  # noqa: B006
        amplitude: float = 0.0,
        noise_cells: list[int] = [1],  # noqa: B006
        noise_shares: list[float] = [1.0],  # noqa: B006
        latent_noise: float = 0.0,
        class_names: list[str] = [],  # noqa: B006
        class_colors: list[list[int]] = [],  # noqa: B006
        image_size: list[int] = [],  # noqa: B006
        segment_steps: int = 1,
        synthesize_steps: int = 25,
        solver: str = "euler",
        last_step_from: float | None = None,
        grid_power: float = 1.0,
        tolerance: float = 1e-5,
        formulation: str = "semflow",
        padding_mode: str = "zeros",
    ) -> None:
        # diffusers takes an argument without a default for a component, hence the empty defaults.
        super().__init__()
        if formulation not in FORMULATIONS:
            known = ", ".join(FORMULATIONS)
            raise UserError(f"unknown formulation {formulation!r}; this version knows {known}")
        self.register_modules(
            vae=vae, unet=unet, null_prompt=null_prompt, statistics=statistics, ends=ends
        )
        self.register_to_config(
            anchors=anchors,
            ignore_color=ignore_color,
            amplitude=amplitude,
            noise_cells=noise_cells,
            noise_shares=noise_shares,
            latent_noise=latent_noise,
            class_names=class_names,
            class_colors=class_colors,
            image_size=image_size,
            segment_steps=segment_steps,
            synthesize_steps=synthesize_steps,
            solver=solver,
            last_step_from=last_step_from,
            grid_power=grid_power,
            tolerance=tolerance,
            formulation=formulation,
            padding_mode=padding_mode,
        )
        self.palette = Palette(
            np.asarray(anchors, np.float32).reshape(-1, 3), np.asarray(ignore_color, np.float32)
        )
        self.noise = Noise(amplitude, tuple(noise_cells), tuple(noise_shares), latent_noise)
        self.formulation = FORMULATIONS[formulation]
        self.field = make_field(
            unet, null_prompt.embedding, statistics, cast(PaddingMode, padding_mode)
        )
        self._keep_moments_exact()

    def to(self, *arguments: Any, **options: Any) -> Self:
        """Moves it to a device, a dtype or both, as diffusers' pipelines do.

        Networks compute in a dtype of half precision; the solver's states stay float32, and so do
        the few numbers that scale latents, whose precision the results would show.
        """
        super().to(*arguments, **options)
        self._keep_moments_exact()
        return self

    def _keep_moments_exact(self) -> None:
        for part in (self.statistics, self.ends):
            if part is not None:
                part.float()

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, windows: Windows | None = None) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> image latents x_0 (N, C, h, w)."""
        return self._encode(to_unit_range(pixels), windows)

    @torch.no_grad()
    def encode_label(
        self,
        label: Tensor,
        noise: MaskNoise | None,
        amplitude: float | None = None,
        windows: Windows | None = None,
    ) -> Tensor:
        """Label ids -> mask latents x_1 (N, C, h, w), those of its perturbed pseudo-mask (Eq. 14).

        Args:
            label: (N, H, W) uint8 ids.
            noise: of `draw_noise`; None for the pseudo-mask as it is.
            amplitude: beta of Eq. 14, grey levels; that of the training where None. Noise on the
                latents grows and shrinks with it.
            windows: what a canvas of another size than the model's is covered with.
        """
        colors = torch.from_numpy(self.palette.color_table()).to(label.device)
        pseudo_mask = to_unit_range(colors[label.long()])
        if noise is None:
            return self._encode(pseudo_mask, windows)
        trained = self.config.amplitude
        beta = trained if amplitude is None else amplitude
        x_1 = self._encode(perturb(pseudo_mask, noise.pixels, beta), windows)
        if noise.latents is None:
            return x_1
        return x_1 + noise.latents * (beta / trained if trained else 1.0)

    @torch.no_grad()
    def to_mask(
        self,
        x_0: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
        *,
        windows: Windows | None = None,
        after_step: AfterStep | None = None,
    ) -> Tensor:
        """Image latents (N, C, h, w) -> mask latents (N, C, h, w).

        Args:
            x_0: Image latents.
            num_steps: Solver steps; the checkpoint's default where None, and none with dopri5.
            solver: Name of a solver; the checkpoint's default where None.
            generators: One for each sample, for a formulation that starts from noise; those of
                items 0 .. N - 1 and seed 0 where None.
            windows: What a canvas of another size than the model's is covered with.
            after_step: What is done to the solver's state after each step.

        Raises:
            UserError: An unknown solver, no step at all, steps for a solver that takes none, or a
                formulation that does not segment.
        """
        how = self._solver(num_steps, self.config.segment_steps, solver, after_step)
        start = x_0 if self.ends is None else self.ends.image_in(x_0)
        generators = self.generators(range(len(x_0)), 0) if generators is None else generators
        end = self.formulation.to_mask(self._network_over(windows), start, how, generators)
        return end if self.ends is None else self.ends.mask_out(end)

    @torch.no_grad()
    def to_image(
        self,
        x_1: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
        *,
        windows: Windows | None = None,
        after_step: AfterStep | None = None,
    ) -> Tensor:
        """Mask latents (N, C, h, w) -> image latents (N, C, h, w); arguments as of `to_mask`."""
        how = self._solver(num_steps, self.config.synthesize_steps, solver, after_step)
        start = x_1 if self.ends is None else self.ends.mask_in(x_1)
        generators = self.generators(range(len(x_1)), 0) if generators is None else generators
        end = self.formulation.to_image(self._network_over(windows), start, how, generators)
        return end if self.ends is None else self.ends.image_out(end)

    @torch.no_grad()
    def masks_ahead(
        self, x_0: Tensor, x_1: Tensor, times: Sequence[float], num_steps: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Mask latents by one step from each time: see `PathFormulation.masks_ahead`."""
        assert isinstance(self.formulation, PathFormulation)
        if self.ends is None:
            return self.formulation.masks_ahead(self._network, x_0, x_1, times, num_steps)
        start, end = self.ends.image_in(x_0), self.ends.mask_in(x_1)
        true, own = self.formulation.masks_ahead(self._network, start, end, times, num_steps)
        return list(map(self.ends.mask_out, true)), list(map(self.ends.mask_out, own))

    @torch.no_grad()
    def class_scores(self, x_1: Tensor) -> Tensor:
        """Mask latents -> scores (N, K, H, W): minus squared distances to the anchors."""
        anchors = unit_range_anchors(self.palette.anchors).to(x_1.device)
        return -anchor_distances(self.decode(x_1), anchors)

    @torch.no_grad()
    def decode_pixels(self, x_0: Tensor, windows: Windows | None = None) -> Tensor:
        """Image latents (N, C, h, w) -> pixels (N, H, W, 3) uint8."""
        return to_pixels(self.decode(x_0, windows))

    @torch.no_grad()
    def decode(self, latents: Tensor, windows: Windows | None = None) -> Tensor:
        """Latents of either kind (N, C, h, w) -> (N, 3, H, W) float32 around [-1, 1]."""
        function = partial(decode, self.vae)
        return (function if windows is None else windows.over(function))(latents)

    def draw_noise(
        self, items: Sequence[int], seed: int, size: Sequence[int] | None = None
    ) -> MaskNoise:
        """Noise of Eq. 14 for N items; item i draws from (seed, i).

        Args:
            items: N numbers.
            seed: Base seed shared by all items.
            size: Height and width of the canvas, pixels; the model's own where None.
        """
        size = self.config.image_size if size is None else size
        pixels = draw_noise(items, size, seed, self.noise).to(self.device)
        if self.noise.latents == 0:
            return MaskNoise(pixels, None)
        shape = latent_shape(self.vae, size)
        latents = draw_latent_noise(items, shape, seed, self.noise)
        return MaskNoise(pixels, latents.to(self.device))

    def generators(self, items: Sequence[int], seed: int) -> list[torch.Generator]:
        """What solving item i of N draws from, by (seed, i); none where it draws nothing."""
        if not self.formulation.starts_from_noise:
            return []
        return item_generators(items, seed)

    def _encode(self, image: Tensor, windows: Windows | None) -> Tensor:
        function = partial(encode, self.vae)
        return (function if windows is None else windows.over(function))(image)

    def _solver(
        self, num_steps: int | None, default: int, solver: str | None, after_step: AfterStep | None
    ) -> Solver:
        names = solver or self.config.solver, self.formulation.samplers
        return solver_for(*names, num_steps, default, self.config, after_step)

    def _network(self, x: Tensor, t: float) -> Tensor:
        return self.field(x, torch.full((len(x),), t, device=x.device))

    def _network_over(self, windows: Windows | None) -> Network:
        if windows is None:
            return self._network
        return lambda x, t: windows.over(lambda part: self._network(part, t))(x)
