"""A checkpoint put together from its networks and from what params.yaml says of its flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffusers import UNet2DConditionModel

from semflow.core.labels import ClassTable
from semflow.formulations.registry import FORMULATIONS
from semflow.formulations.schema import FlowParams
from semflow.networks.encoding import Autoencoder
from semflow.networks.ends import Ends
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.statistics import LatentStatistics
from semflow.networks.velocity import with_channels
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import Palette
from semflow.training.schema import InferenceParams


@dataclass(frozen=True)
class Networks:
    """What a checkpoint computes with.

    Args:
        vae: Pixels <-> latents.
        unet: The backbone; it is widened to the channels that the formulation asks for.
        null_prompt: What the backbone sees in place of a caption.
        statistics: What the backbone is preconditioned by, if it is.
        ends: What brings both ends to one scale, if anything does.
    """

    vae: Autoencoder
    unet: UNet2DConditionModel
    null_prompt: NullPrompt
    statistics: LatentStatistics | None = None
    ends: Ends | None = None


@dataclass(frozen=True)
class Labelling:
    """What labels are to a checkpoint.

    Args:
        classes: Their names and display colours.
        palette: Their colours in the flow.
        noise: Of the pseudo-masks.
        image_size: Height and width, pixels.
    """

    classes: ClassTable
    palette: Palette
    noise: Noise
    image_size: Sequence[int]


def assemble(
    networks: Networks, labelling: Labelling, flow: FlowParams, inference: InferenceParams
) -> SemFlowPipeline:
    """The two-way checkpoint of a data set's block."""
    formulation = FORMULATIONS[flow.formulation]
    channels = networks.vae.config.latent_channels
    classes, palette, noise = labelling.classes, labelling.palette, labelling.noise
    return SemFlowPipeline(
        vae=networks.vae,
        unet=with_channels(
            networks.unet, formulation.in_channels(channels), formulation.out_channels(channels)
        ),
        null_prompt=networks.null_prompt,
        statistics=networks.statistics,
        ends=networks.ends,
        anchors=palette.anchors.tolist(),
        ignore_color=palette.ignore_color.tolist(),
        amplitude=noise.amplitude,
        noise_cells=list(noise.cells),
        noise_shares=list(noise.shares),
        latent_noise=noise.latents,
        class_names=list(classes.names),
        class_colors=[list(color) for color in classes.colors],
        image_size=list(labelling.image_size),
        segment_steps=inference.segment_steps,
        synthesize_steps=inference.synthesize_steps,
        solver=inference.solver,
        grid_power=inference.grid_power,
        last_step_from=inference.last_step_from,
        tolerance=inference.tolerance,
        formulation=formulation.name,
        padding_mode=flow.padding_mode,
    )
