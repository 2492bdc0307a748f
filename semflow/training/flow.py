"""Training the velocity field: from a backbone and cached latents to a two-way checkpoint."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from semflow.core.files import whole_folder, write_json
from semflow.core.provenance import PROVENANCE
from semflow.networks.encoding import Autoencoder
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.networks.statistics import LatentStatistics, latent_statistics
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import new_accelerator, training_provenance, working_folder
from semflow.training.grid import SampleGrid
from semflow.training.inputs import TrainingInputs, open_masks, open_training_samples
from semflow.training.logs import TrainingLog, log_folder
from semflow.training.loop import Progress, optimise
from semflow.training.loss import end_points, flow_losses
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import FlowParams

PARAMETERS: dict[str, Any] = {
    "flow": True,
    "inference": True,
    "palette": True,
    "shards": {"image_size"},
    "train": True,
}
"""What the stage reads of a data set's block; dvc.yaml declares the same."""
STATISTICS_BATCH = 64


def train_flow(
    inputs: TrainingInputs, mask_latents: Path, params: DatasetParams, out: Path
) -> None:
    """Trains and saves a SemFlowPipeline.

    Args:
        inputs: shards, latents, autoencoder and backbone.
        mask_latents: mask latent shards of the same samples; none where masks are encoded online.
        params: the data set's block.
        out: receives the checkpoint, whole or not at all.

    Raises:
        UserError: a bad shard, or a loss that is not finite.
    """
    accelerator = new_accelerator(params.train)
    palette = make_palette(params.palette, len(inputs.classes().names))
    masks = open_masks(inputs, mask_latents, palette)
    samples = open_training_samples(inputs, params.train.seed, masks)
    parameters = params.model_dump(mode="json", include=PARAMETERS)
    provenance = training_provenance(parameters, [*inputs.folders(), mask_latents], accelerator)
    pipeline = new_pipeline(params, inputs, palette, samples)
    # What is trained may be cut into shards; the pipeline itself stays whole, to be saved.
    trained = copy.deepcopy(pipeline).to(accelerator.device)
    trained.unet.train()

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        """Eq. 10 and the anchors' term."""
        losses = flow_losses(model, trained.vae, trained.statistics, palette, batch, params.flow)
        return {"loss": losses.total, "velocity": losses.velocity, "anchor": losses.anchor}

    val = ShardFolder(read_manifest(inputs.pixels / "val"))
    grid = SampleGrid(trained, val, log_folder(inputs.dataset), accelerator.is_main_process)
    progress = Progress("train", TrainingLog(inputs.dataset, "train"), grid.save)
    with working_folder("train", inputs.dataset, provenance, accelerator) as scratch:
        checkpoints = Checkpoints(scratch)
        weights = optimise(
            trained.field, loss_of, samples, params.train, accelerator, progress, checkpoints
        )
        if accelerator.is_main_process:
            pipeline.field.load_state_dict(weights)
            with whole_folder(out) as folder:
                pipeline.save_pretrained(folder)
                write_json(folder / PROVENANCE, provenance.as_json())


def new_pipeline(
    params: DatasetParams, inputs: TrainingInputs, palette: Palette, samples: TrainingSamples
) -> SemFlowPipeline:
    """A checkpoint before its first step: autoencoder, backbone, palette and defaults."""
    classes = inputs.classes()
    autoencoder = load_autoencoder(inputs.autoencoder)
    return SemFlowPipeline(
        vae=autoencoder,
        unet=load_unet(inputs.backbone / "unet"),
        null_prompt=load_null_prompt(inputs.backbone / "null_prompt"),
        anchors=palette.anchors.tolist(),
        ignore_color=palette.ignore_color.tolist(),
        statistics=first_statistics(samples, autoencoder, palette.amplitude, params.flow),
        amplitude=palette.amplitude,
        noise_cell=palette.grain.cell,
        noise_share=palette.grain.share,
        class_names=list(classes.names),
        class_colors=[list(color) for color in classes.colors],
        image_size=list(params.shards.image_size),
        segment_steps=params.inference.segment_steps,
        synthesize_steps=params.inference.synthesize_steps,
        solver=params.inference.solver,
    )


def first_statistics(
    samples: TrainingSamples, autoencoder: Autoencoder, amplitude: float, params: FlowParams
) -> LatentStatistics | None:
    """Statistics of the training order's first samples; None where the backbone stands alone."""
    if params.preconditioning is None:
        return None
    positions = torch.arange(params.preconditioning.samples).split(STATISTICS_BATCH)
    pairs = [
        end_points(autoencoder, batch, params.posterior, amplitude)
        for batch in DataLoader(samples, batch_sampler=[part.tolist() for part in positions])
    ]
    x_0, x_1 = (torch.cat(ends) for ends in zip(*pairs, strict=True))
    return latent_statistics(x_0, x_1)
