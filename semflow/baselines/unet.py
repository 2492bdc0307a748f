"""The discriminative U-Net: the flow's own network and samples, trained to classify pixels."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from semflow.labels import IGNORE_INDEX
from semflow.networks.latents import (
    Autoencoder,
    encode,
    latents_from_moments,
    to_unit_range,
)
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import VelocityField
from semflow.params import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.logs import TrainingLog
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples


class Segmenter(nn.Module):
    """Image latents -> class logits at pixel resolution, by a U-Net held at t = 0.

    Args:
        unet: from `classifying_unet`.
        null_prompt: what the flow's backbone sees.
        scaling_factor: the autoencoder's.
    """

    def __init__(
        self, unet: UNet2DConditionModel, null_prompt: NullPrompt, scaling_factor: float
    ) -> None:
        super().__init__()
        self.field = VelocityField(unet, null_prompt.embedding)
        self.scaling_factor = scaling_factor

    def forward(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        """Latents (N, C, h, w) and the image's height and width -> logits (N, K, H, W) float32."""
        logits = self.field(latents, torch.zeros(len(latents), device=latents.device))
        return F.pixel_shuffle(logits, size[0] // latents.shape[2])

    def segment_batch(self, autoencoder: Autoencoder, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> label ids (N, H, W) uint8."""
        latents = encode(autoencoder, to_unit_range(pixels))
        return self(latents, tuple(pixels.shape[1:3])).argmax(dim=1).to(torch.uint8)


def classifying_unet(
    backbone: UNet2DConditionModel, num_classes: int, patch_size: int, seed: int
) -> UNet2DConditionModel:
    """A backbone's twin with random weights and num_classes * patch_size**2 output channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DConditionModel.from_config(
            backbone.config, out_channels=num_classes * patch_size**2
        )


def train_segmenter(
    dataset: str,
    params: DatasetParams,
    samples: TrainingSamples,
    autoencoder: Autoencoder,
    backbone: UNet2DConditionModel,
    null_prompt: NullPrompt,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
) -> UNet2DConditionModel:
    """Trains on as many samples as the flow sees, in the same order.

    Args:
        dataset: its name, for logs.
        params: the data set's block.
        samples: the train split by position.
        autoencoder: its scaling factor is used.
        backbone: whose shape is taken.
        null_prompt: of the backbone.
        accelerator: spreads the work.
        checkpoints: where to go on from.
    """
    size = params.shards.image_size
    moments = samples[0]["moments"]
    patch_size = size[0] // moments.shape[1]
    num_classes = len(samples.mirrored)
    unet = classifying_unet(backbone, num_classes, patch_size, params.baseline.seed)
    segmenter = Segmenter(unet, null_prompt, autoencoder.config.scaling_factor)
    segmenter.to(accelerator.device)

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        scaling_factor = autoencoder.config.scaling_factor
        x_0 = latents_from_moments(batch["moments"], batch["moments_noise"], scaling_factor)
        logits = model(x_0, size)
        return {"loss": F.cross_entropy(logits, batch["label"], ignore_index=IGNORE_INDEX)}

    settings = params.train.model_copy(update={"learning_rate": params.baseline.learning_rate})
    progress = Progress("baseline", TrainingLog(dataset, "baseline"), watch_nothing)
    optimise(segmenter, loss_of, samples, settings, accelerator, progress, checkpoints)
    return unet.to("cpu")


def load_segmenter(folder: Path, null_prompt: NullPrompt, scaling_factor: float) -> Segmenter:
    """Reads the U-Net that the baseline stage saved."""
    unet = UNet2DConditionModel.from_pretrained(folder, use_safetensors=True)
    return Segmenter(unet, null_prompt, scaling_factor).eval()
