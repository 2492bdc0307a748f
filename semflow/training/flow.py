"""Training the velocity field: from a backbone and cached latents to a two-way checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from semflow.datasets.base import ClassTable
from semflow.files import whole_folder, write_json
from semflow.networks.latents import Autoencoder
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.networks.statistics import LatentStatistics, latent_statistics
from semflow.palette import Palette, make_palette
from semflow.params import DatasetParams
from semflow.params.learning import Flow
from semflow.perturbation import draw_noise
from semflow.pictures import picture_grid
from semflow.pipeline import SemFlowPipeline
from semflow.provenance import PROVENANCE
from semflow.shards.index import class_table
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, png_pixels
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import (
    new_accelerator,
    training_provenance,
    working_folder,
)
from semflow.training.logs import TrainingLog, log_folder
from semflow.training.loop import Progress, optimise
from semflow.training.loss import end_points, flow_losses
from semflow.training.opening import open_masks, open_training_samples
from semflow.training.samples import TrainingSample, TrainingSamples

GRID_SAMPLES = 8
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
    dataset: str,
    params: DatasetParams,
    pixels: Path,
    latents: Path,
    mask_latents: Path,
    autoencoder_folder: Path,
    backbone: Path,
    out: Path,
) -> None:
    """Trains and saves a SemFlowPipeline.

    Args:
        dataset: its name, for logs and for the commands in errors.
        params: the data set's block.
        pixels: pixel shards, a folder for each split.
        latents: image latent shards of the same samples.
        mask_latents: mask latent shards of the same samples; none where masks are encoded online.
        autoencoder_folder: the autoencoder that made them.
        backbone: folder with `unet/` and `null_prompt/`.
        out: receives the checkpoint, whole or not at all.

    Raises:
        UserError: a bad shard, or a loss that is not finite.
    """
    accelerator = new_accelerator(params.train)
    classes = class_table(read_manifest(pixels / "train").about["classes"])
    palette = make_palette(params.palette, len(classes.names))
    masks = open_masks(dataset, palette, pixels, mask_latents)
    samples = open_training_samples(dataset, params.train.seed, pixels, latents, masks)
    provenance = training_provenance(
        params.model_dump(mode="json", include=PARAMETERS),
        [pixels, latents, mask_latents, autoencoder_folder, backbone],
        accelerator,
    )
    pipeline = new_pipeline(params, classes, palette, autoencoder_folder, backbone, samples)
    pipeline.to(accelerator.device)
    pipeline.unet.train()

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        losses = flow_losses(
            model, pipeline.vae, pipeline.statistics, pipeline.palette, batch, params.flow
        )
        return {"loss": losses.total, "velocity": losses.velocity, "anchor": losses.anchor}

    grid = SampleGrid(pipeline, ShardFolder(read_manifest(pixels / "val")), log_folder(dataset))
    progress = Progress("train", TrainingLog(dataset, "train"), grid.save)
    with working_folder("train", dataset, provenance, accelerator) as scratch:
        checkpoints = Checkpoints(scratch, "train")
        optimise(pipeline.field, loss_of, samples, params.train, accelerator, progress, checkpoints)
        if accelerator.is_main_process:
            with whole_folder(out) as folder:
                pipeline.to("cpu").save_pretrained(folder)
                write_json(folder / PROVENANCE, provenance.as_json())


def new_pipeline(
    params: DatasetParams,
    classes: ClassTable,
    palette: Palette,
    autoencoder_folder: Path,
    backbone: Path,
    samples: TrainingSamples,
) -> SemFlowPipeline:
    """A checkpoint before its first step: autoencoder, backbone, palette and defaults."""
    autoencoder = load_autoencoder(autoencoder_folder)
    return SemFlowPipeline(
        vae=autoencoder,
        unet=load_unet(backbone / "unet"),
        null_prompt=load_null_prompt(backbone / "null_prompt"),
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
    samples: TrainingSamples, autoencoder: Autoencoder, amplitude: float, params: Flow
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


class SampleGrid:
    """The same val samples with the same noise, both ways, as training goes on."""

    def __init__(self, pipeline: SemFlowPipeline, pixels: ShardFolder, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder
        chosen = np.linspace(0, len(pixels) - 1, min(GRID_SAMPLES, len(pixels))).astype(int)
        self._images = [png_pixels(pixels.read(int(i), "image.png")) for i in chosen]
        self._labels = [png_pixels(pixels.read(int(i), "label.png")) for i in chosen]

    def save(self, step: int) -> None:
        """Writes `samples/<step>.png`: rows image, label, segmented, synthesized."""
        pipeline = self._pipeline
        colors = np.asarray(pipeline.config.class_colors, np.uint8)
        device = pipeline.device
        images = torch.from_numpy(np.stack(self._images)).to(device)
        masks = torch.from_numpy(pipeline.palette.colorize(np.stack(self._labels))).to(device)
        grain = pipeline.palette.grain
        noise = draw_noise(range(len(masks)), masks.shape[1:3], 0, grain).to(device)
        segmented = pipeline.segment_batch(images).cpu().numpy()
        synthesized = pipeline.synthesize_batch(masks, noise).cpu().numpy()
        rows = [
            self._images,
            [colors[label] for label in self._labels],
            [colors[label] for label in segmented],
            list(synthesized),
        ]
        path = self._folder / "samples" / f"{step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture_grid(rows)).save(path)
