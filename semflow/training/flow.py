"""Training the flow: from a backbone and cached latents to a two-way checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from semflow.core.files import whole_folder, write_json
from semflow.core.logs import TrainingLog, log_folder
from semflow.core.progress import progress_over
from semflow.core.provenance import PROVENANCE
from semflow.core.resume import resumable
from semflow.core.seals import seal
from semflow.formulations.registry import FORMULATIONS
from semflow.formulations.schema import FlowParams
from semflow.networks.anchors import unit_range_anchors
from semflow.networks.encoding import Autoencoder
from semflow.networks.ends import Ends
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.networks.statistics import LatentStatistics, latent_statistics
from semflow.networks.vae_memory import fit_autoencoder
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.coloring import MEMBER, palette_of
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import Palette
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.training.assembly import Labelling, Networks, assemble
from semflow.training.checkpoints import Checkpoints
from semflow.training.curve import CurveLog, Logs, write_curve
from semflow.training.environment import new_accelerator, training_hardware
from semflow.training.grid import SampleGrid
from semflow.training.inputs import FlowInputs, open_latents, open_masks, open_split
from semflow.training.loop import LossOf, Progress, optimise
from semflow.training.loss import Autocast, Task, end_points, flow_losses
from semflow.training.samples import Extras, TrainingSample, TrainingSamples, first_batches
from semflow.training.speed import SpeedSettings
from semflow.training.stage import TrainStage


def train_flow(inputs: FlowInputs, params: TrainStage, out: Path) -> None:
    """Trains and saves a SemFlowPipeline; a killed run goes on where it was.

    Args:
        inputs: Shards, latents, autoencoder and backbone.
        params: What the stage reads of the data set's block.
        out: Receives the checkpoint, whole or not at all.

    Raises:
        UserError: A bad shard, or a loss that is not finite.
    """
    accelerator = new_accelerator(params.train)
    parameters = params.model_dump(mode="json")
    palette, noise, samples = open_samples(inputs, params, accelerator)
    pipeline = new_pipeline(inputs, params, palette, noise, samples)
    # What is trained may be cut into shards; the pipeline itself stays whole, to be saved.
    trained = copy.deepcopy(pipeline).to(accelerator.device)
    trained.unet.train()
    SpeedSettings.from_environment().apply(trained.unet)
    hardware = training_hardware(accelerator, params.train.batch_size)
    hardware |= fit_autoencoder(trained.vae)
    val = ShardFolder(read_manifest(inputs.pixels / "val"))
    grid = SampleGrid(trained, val, log_folder(inputs.dataset), accelerator.is_main_process)
    log = TrainingLog(inputs.dataset, "train")
    with resumable(
        "train", inputs.dataset, parameters, inputs.folders(), accelerator, hardware
    ) as work:
        curve_log = CurveLog(work.folder)
        weights = optimise(
            trained.field,
            loss_of(trained, params.flow, accelerator.autocast),
            samples,
            params.train,
            accelerator,
            Progress("train", Logs([log, curve_log]), grid.save),
            Checkpoints(work.folder),
        )
        if accelerator.is_main_process:
            pipeline.field.load_state_dict(weights)
            with whole_folder(out) as folder:
                pipeline.save_pretrained(folder)
                write_json(folder / PROVENANCE, work.provenance.as_json())
                write_curve(curve_log.curve(), folder)
                seal(folder)


def open_samples(
    inputs: FlowInputs, params: TrainStage, accelerator: Accelerator
) -> tuple[Palette, Noise, TrainingSamples]:
    """The palette of the pseudo-masks, their noise, and the train split by position.

    Raises:
        UserError: The bad tar and the command that rebuilds it, or noise that changes classes.
    """
    pseudo_masks = open_split(inputs.dataset, "pseudo_masks", inputs.pseudo_masks, accelerator)
    palette = palette_of(pseudo_masks)
    noise = Noise.checked(params.noise, palette.anchors)
    samples = TrainingSamples(
        ShardFolder(pseudo_masks),
        MEMBER,
        open_latents(
            inputs.dataset, "image_latents", inputs.image_latents, pseudo_masks, accelerator
        ),
        open_masks(inputs, pseudo_masks, noise, accelerator),
        inputs.classes().mirrored,
        params.train.seed,
        extras_of(params),
    )
    return palette, noise, samples


def extras_of(params: TrainStage) -> Extras:
    """What samples draw for the parameters beyond what every flow needs."""
    own_states = params.flow.own_states
    return Extras(
        noises=FORMULATIONS[params.flow.formulation].noises(params.flow),
        latent_noise=params.noise.latents > 0,
        own_steps=0 if own_states is None else own_states.max_steps,
        batch_size=params.train.batch_size,
    )


def loss_of(pipeline: SemFlowPipeline, params: FlowParams, autocast: Autocast) -> LossOf:
    """The loss of a batch for the network of a checkpoint, which lies on its device.

    Args:
        pipeline: The checkpoint.
        params: Weights and draws.
        autocast: Of its autoencoder; the network has its own.
    """
    task = Task(
        pipeline.formulation,
        pipeline.vae,
        pipeline.statistics,
        pipeline.ends,
        unit_range_anchors(pipeline.palette.anchors).to(pipeline.device),
        pipeline.noise,
        autocast,
    )

    def losses_of(network: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        """Eq. 10 and the anchors' term."""
        losses = flow_losses(network, task, batch, params)
        return {"loss": losses.total, "velocity": losses.velocity, "anchor": losses.anchor}

    return losses_of


def new_pipeline(
    inputs: FlowInputs,
    params: TrainStage,
    palette: Palette,
    noise: Noise,
    samples: TrainingSamples,
) -> SemFlowPipeline:
    """A checkpoint before its first step: autoencoder, backbone, palette and defaults."""
    autoencoder = load_autoencoder(inputs.autoencoder)
    ends, statistics = first_statistics(samples, autoencoder, noise, params.flow)
    networks = Networks(
        autoencoder,
        load_unet(inputs.backbone / "unet"),
        load_null_prompt(inputs.backbone / "null_prompt"),
        statistics,
        ends,
    )
    image_size = read_manifest(inputs.pixels / "train").about["image_size"]
    labelling = Labelling(inputs.classes(), palette, noise, image_size)
    return assemble(networks, labelling, params.flow, params.inference)


def first_statistics(
    samples: TrainingSamples, autoencoder: Autoencoder, noise: Noise, params: FlowParams
) -> tuple[Ends | None, LatentStatistics | None]:
    """What the training order's first samples say of scales and of the closed-form velocity.

    Each is None where it is not asked for.
    """
    if not params.standardise_ends and params.preconditioning is None:
        return None, None
    count = None if params.preconditioning is None else params.preconditioning.samples
    first = first_batches(samples, count)
    pairs = [
        end_points(autoencoder, batch, params.posterior, noise)
        for batch in progress_over(first, len(first), "statistics", "batches", stays=False)
    ]
    x_0, x_1 = (torch.cat(ends) for ends in zip(*pairs, strict=True))
    ends = Ends.of(x_0, x_1) if params.standardise_ends else None
    if ends is not None:
        x_0, x_1 = ends.image_in(x_0), ends.mask_in(x_1)
    return ends, None if params.preconditioning is None else latent_statistics(x_0, x_1)
