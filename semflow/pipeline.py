"""SemFlowPipeline: one checkpoint that segments images and synthesizes them from labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from diffusers.utils.logging import disable_progress_bar
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from semflow.checkpoint import check_checkpoint, check_tensors
from semflow.core.errors import UserError
from semflow.core.seeds import draws_at
from semflow.flow.solvers import DOPRI5, Solver
from semflow.formulations.protocol import PathFormulation
from semflow.formulations.registry import FORMULATIONS
from semflow.networks.anchors import anchor_distances, nearest_anchor, unit_range_anchors
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
from semflow.networks.velocity import PaddingMode, PreconditionedField, VelocityField
from semflow.pseudo_masks.noise import (
    MaskNoise,
    Noise,
    draw_latent_noise,
    draw_noise,
    perturb,
)
from semflow.pseudo_masks.palette import Palette


class SemFlowPipeline(DiffusionPipeline):
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
        self.field = make_field(unet, null_prompt, statistics, cast(PaddingMode, padding_mode))

    @torch.no_grad()
    def segment(
        self,
        images: Image.Image | Sequence[Image.Image],
        num_steps: int | None = None,
        solver: str | None = None,
        seed: int = 0,
    ) -> list[NDArray[np.uint8]]:
        """Images -> label ids (Eq. 12).

        Args:
            images: RGB images of the model's size.
            num_steps: solver steps; the checkpoint's default where None, and none with dopri5.
            solver: name of a solver; the checkpoint's default where None.
            seed: of a formulation that segments from noise; item i draws from (seed, i).

        Returns:
            for each image its label ids (H, W) uint8.

        Raises:
            UserError: an image of another size, or as of `to_mask`.
        """
        batch = [images] if isinstance(images, Image.Image) else list(images)
        for image in batch:
            self._check_size(image.size, "image")
        pixels = torch.from_numpy(np.stack([np.array(image.convert("RGB")) for image in batch]))
        x_0 = self.encode_image(pixels.to(self.device))
        x_1 = self.to_mask(x_0, num_steps, solver, self.generators(range(len(batch)), seed))
        anchors = unit_range_anchors(self.palette.anchors).to(x_1.device)
        return list(nearest_anchor(decode(self.vae, x_1), anchors).cpu().numpy())

    @torch.no_grad()
    def synthesize(
        self,
        labels: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
        num_steps: int | None = None,
        solver: str | None = None,
        seed: int = 0,
        amplitude: float | None = None,
    ) -> list[Image.Image]:
        """Label ids -> images (Eq. 13, 14).

        Args:
            labels: (H, W) uint8 ids of the model's size, 255 = no class.
            num_steps: solver steps; the checkpoint's default where None, and none with dopri5.
            solver: name of a solver; the checkpoint's default where None.
            seed: of the perturbation; item i of a call draws from (seed, i).
            amplitude: beta' of Eq. 14; the training amplitude where None.

        Raises:
            UserError: a label of another size or with an unknown id, or as of `to_mask`.
        """
        batch = [labels] if isinstance(labels, np.ndarray) else list(labels)
        for label in batch:
            self._check_size(label.shape[::-1], "label")
        try:
            self.palette.check_label(np.stack(batch))
        except ValueError as error:
            raise UserError(f"{error}; give label ids, not colours") from None
        if not 0 <= seed < 2**63:
            raise UserError(f"the seed must be in 0 .. 2**63 - 1, got {seed}")
        label_batch = torch.from_numpy(np.stack(batch)).to(self.device)
        x_1 = self.encode_label(label_batch, self.draw_noise(range(len(batch)), seed), amplitude)
        generators = self.generators(range(len(batch)), seed)
        pixels = self.decode_pixels(self.to_image(x_1, num_steps, solver, generators))
        return [Image.fromarray(array) for array in pixels.cpu().numpy()]

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> image latents x_0 (N, C, h, w)."""
        return encode(self.vae, to_unit_range(pixels))

    @torch.no_grad()
    def encode_label(
        self, label: Tensor, noise: MaskNoise | None, amplitude: float | None = None
    ) -> Tensor:
        """Label ids -> mask latents x_1 (N, C, h, w), those of its perturbed pseudo-mask (Eq. 14).

        Args:
            label: (N, H, W) uint8 ids.
            noise: of `draw_noise`; None for the pseudo-mask as it is.
            amplitude: beta of Eq. 14, grey levels; that of the training where None. Noise on the
                latents grows and shrinks with it.
        """
        colors = torch.from_numpy(self.palette.color_table()).to(label.device)
        pseudo_mask = to_unit_range(colors[label.long()])
        if noise is None:
            return encode(self.vae, pseudo_mask)
        trained = self.config.amplitude
        beta = trained if amplitude is None else amplitude
        x_1 = encode(self.vae, perturb(pseudo_mask, noise.pixels, beta))
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
    ) -> Tensor:
        """Image latents (N, C, h, w) -> mask latents (N, C, h, w).

        Args:
            x_0: Image latents.
            num_steps: Solver steps; the checkpoint's default where None, and none with dopri5.
            solver: Name of a solver; the checkpoint's default where None.
            generators: One for each sample, for a formulation that starts from noise; those of
                items 0 .. N - 1 and seed 0 where None.

        Raises:
            UserError: An unknown solver, no step at all, steps for a solver that takes none, or a
                formulation that does not segment.
        """
        how = self._solver(num_steps, self.config.segment_steps, solver)
        start = x_0 if self.ends is None else self.ends.image_in(x_0)
        generators = self.generators(range(len(x_0)), 0) if generators is None else generators
        end = self.formulation.to_mask(self._network, start, how, generators)
        return end if self.ends is None else self.ends.mask_out(end)

    @torch.no_grad()
    def to_image(
        self,
        x_1: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor:
        """Mask latents (N, C, h, w) -> image latents (N, C, h, w); as `to_mask`."""
        how = self._solver(num_steps, self.config.synthesize_steps, solver)
        start = x_1 if self.ends is None else self.ends.mask_in(x_1)
        generators = self.generators(range(len(x_1)), 0) if generators is None else generators
        end = self.formulation.to_image(self._network, start, how, generators)
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
        return -anchor_distances(decode(self.vae, x_1), anchors)

    @torch.no_grad()
    def decode_pixels(self, x_0: Tensor) -> Tensor:
        """Image latents (N, C, h, w) -> pixels (N, H, W, 3) uint8."""
        return to_pixels(decode(self.vae, x_0))

    def draw_noise(self, items: Sequence[int], seed: int) -> MaskNoise:
        """Noise of Eq. 14 for N items; item i draws from (seed, i)."""
        pixels = draw_noise(items, self.config.image_size, seed, self.noise).to(self.device)
        if self.noise.latents == 0:
            return MaskNoise(pixels, None)
        shape = latent_shape(self.vae, self.config.image_size)
        latents = draw_latent_noise(items, shape, seed, self.noise)
        return MaskNoise(pixels, latents.to(self.device))

    def generators(self, items: Sequence[int], seed: int) -> list[torch.Generator]:
        """What solving item i of N draws from, by (seed, i); none where it draws nothing."""
        if not self.formulation.starts_from_noise:
            return []
        return item_generators(items, seed)

    def _solver(self, num_steps: int | None, default: int, solver: str | None) -> Solver:
        name = solver or self.config.solver
        known = self.formulation.samplers
        if name not in known:
            raise UserError(f"unknown solver {name!r}; known are {', '.join(known)}")
        if name != DOPRI5:
            num_steps = default if num_steps is None else num_steps
            if num_steps < 1:
                raise UserError(f"the number of steps must be at least 1, got {num_steps}")
        elif num_steps is not None:
            raise UserError(f"{name} chooses its own steps, got {num_steps}; leave the number out")
        config = self.config
        return Solver(name, num_steps, config.grid_power, config.tolerance, config.last_step_from)

    def _network(self, x: Tensor, t: float) -> Tensor:
        return self.field(x, torch.full((len(x),), t, device=x.device))

    def _check_size(self, size: tuple[int, ...], what: str) -> None:
        height, width = self.config.image_size
        if tuple(size) != (width, height):
            raise UserError(
                f"the {what} is {size[0]}x{size[1]}, this model takes {width}x{height}; "
                "resize or crop it first"
            )


def make_field(
    unet: UNet2DConditionModel,
    null_prompt: NullPrompt,
    statistics: LatentStatistics | None,
    padding_mode: PaddingMode,
) -> VelocityField | PreconditionedField:
    """The velocity v(x, t) of a checkpoint's parts."""
    field = VelocityField(unet, null_prompt.embedding, padding_mode)
    return field if statistics is None else PreconditionedField(field, statistics)


def item_generators(items: Sequence[int], seed: int) -> list[torch.Generator]:
    """A CPU generator for each item, by (seed, item) alone."""
    # Beside the perturbation's draws of the same item and not equal to them.
    seeds = [int(draws_at(seed, item).integers(2**62)) for item in items]
    return [torch.Generator().manual_seed(number) for number in seeds]


def load_pipeline(folder: str | Path, **options: Any) -> SemFlowPipeline:
    """Reads a checkpoint from a local folder.

    Raises:
        UserError: the folder holds no SemFlow checkpoint, or one whose index, tensors or weights
            are not sound.
    """
    if not (Path(folder) / "model_index.json").is_file():
        raise UserError(f"{folder} holds no checkpoint (model_index.json); run: dvc repro train")
    check_checkpoint(Path(folder))
    # A bar for three files would stand between a command and its one line of output.
    disable_progress_bar()
    try:
        pipeline: SemFlowPipeline = SemFlowPipeline.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, **options
        )
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder} is no sound checkpoint ({reason}); dvc checkout or dvc repro train makes it"
        ) from None
    for name, part in pipeline.components.items():
        if not isinstance(part, nn.Module):
            continue
        check_tensors(part, Path(folder) / name)
        if not _is_finite(part):
            raise UserError(f"{folder}/{name} has weights that are not finite; train it anew")
    return pipeline


def _is_finite(network: nn.Module) -> bool:
    # One pass without copies; a sum of finite float32 numbers is finite in float64.
    sums = (weights.detach().sum(dtype=torch.float64) for weights in network.parameters())
    return math.isfinite(sum(map(float, sums)))
