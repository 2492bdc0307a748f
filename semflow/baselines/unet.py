"""The discriminative U-Net: the flow's own network and samples, trained to classify pixels."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from semflow.baselines.scaling import (
    InputScaling,
    image_latents,
    input_scaling,
    load_scaling,
    save_scaling,
)
from semflow.baselines.schema import BaselineStage
from semflow.core.labels import IGNORE_INDEX
from semflow.core.logs import TrainingLog
from semflow.core.seals import check_seal
from semflow.networks.encoding import Autoencoder, encode, to_unit_range
from semflow.networks.null_prompt import NullPrompt, null_prompt_from
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.networks.velocity import VelocityField, scratch_unet
from semflow.training.checkpoints import Checkpoints
from semflow.training.inputs import ModelInputs
from semflow.training.loop import Progress, optimise, watch_nothing
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.speed import SpeedSettings

SCALING = "scaling.safetensors"


class Segmenter(nn.Module):
    """Image latents -> class logits at pixel resolution, by a U-Net held at t = 0.

    Args:
        unet: its output channels are classes times the pixels of a latent cell.
        null_prompt: what its cross-attention sees, if it has any.
        scaling_factor: the autoencoder's.
        scaling: what its input goes through.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        null_prompt: NullPrompt,
        scaling_factor: float,
        scaling: InputScaling,
    ) -> None:
        super().__init__()
        self.scaling = scaling
        self.field = VelocityField(unet, null_prompt.embedding)
        self.scaling_factor = scaling_factor

    def forward(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        """Latents (N, C, h, w) and the image's height and width -> logits (N, K, H, W) float32."""
        t = torch.zeros(len(latents), device=latents.device)
        logits = self.field(self.scaling(latents), t)
        return F.pixel_shuffle(logits, size[0] // latents.shape[2])

    @torch.no_grad()
    def score_latents(self, x_0: Tensor, size: tuple[int, int]) -> Tensor:
        """Image latents (N, C, h, w) and the image's size -> logits (N, K, H, W) float32."""
        logits: Tensor = self(x_0, size)
        return logits

    @torch.no_grad()
    def score_batch(self, autoencoder: Autoencoder, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> logits (N, K, H, W) float32."""
        x_0 = encode(autoencoder, to_unit_range(pixels))
        return self.score_latents(x_0, (pixels.shape[1], pixels.shape[2]))


def new_segmenter(
    inputs: ModelInputs, params: BaselineStage, size: tuple[int, int], samples: TrainingSamples
) -> Segmenter:
    """A segmenter with random weights.

    Args:
        inputs: autoencoder and backbone; the backbone's shape is taken where params name none.
        params: shape and seed, and whether the input is scaled.
        size: Height and width of an image, pixels.
        samples: the train split by position; it has the classes and the latents' scale.
    """
    backbone, own = load_unet(inputs.backbone / "unet"), params.baseline
    patch_size = size[0] // samples[0]["moments"].shape[1]
    num_outputs = len(samples.mirrored) * patch_size**2
    if own.network is None:
        unet = twin(backbone, own.seed, num_outputs)
        null_prompt = load_null_prompt(inputs.backbone / "null_prompt")
    else:
        unet = scratch_unet(own.network, own.seed, backbone.config.in_channels, num_outputs)
        null_prompt = NullPrompt(tokens=1, width=unet.config.cross_attention_dim)
    scaling_factor = load_autoencoder(inputs.autoencoder).config.scaling_factor
    scaling = input_scaling(samples, params.flow, scaling_factor)
    return Segmenter(unet, null_prompt, scaling_factor, scaling)


def twin(backbone: UNet2DConditionModel, seed: int, num_outputs: int) -> UNet2DConditionModel:
    """A backbone's shape with random weights and another number of output channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DConditionModel.from_config(backbone.config, out_channels=num_outputs)


def train_segmenter(
    inputs: ModelInputs,
    params: BaselineStage,
    size: tuple[int, int],
    samples: TrainingSamples,
    accelerator: Accelerator,
    checkpoints: Checkpoints,
) -> Segmenter:
    """Trains on as many samples as the flow sees, in the same order.

    Args:
        inputs: autoencoder and backbone, and the name for logs.
        params: What the stage reads of the data set's block.
        size: Height and width of an image, pixels.
        samples: the train split by position.
        accelerator: spreads the work.
        checkpoints: where to go on from.

    Returns:
        The segmenter on the CPU; the main process has the trained one.
    """
    segmenter = new_segmenter(inputs, params, size, samples)
    trained = copy.deepcopy(segmenter).to(accelerator.device)
    SpeedSettings.from_environment().apply(trained.field.unet)

    def loss_of(model: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        """Cross-entropy of every pixel that has a class."""
        x_0 = image_latents(batch, params.flow.posterior, trained.scaling_factor)
        return {"loss": class_cross_entropy(model(x_0, size), batch["label"])}

    settings = TrainParams(**params.train.model_dump(), learning_rate=params.baseline.learning_rate)
    progress = Progress("baseline", TrainingLog(inputs.dataset, "baseline"), watch_nothing)
    weights = optimise(trained, loss_of, samples, settings, accelerator, progress, checkpoints)
    if accelerator.is_main_process:
        segmenter.load_state_dict(weights)
    return segmenter


def class_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of the pixels that have a class; 0 where none has.

    Args:
        logits: (N, K, H, W) float32.
        label: (N, H, W) int64 ids.

    Returns:
        () float32.
    """
    total = F.cross_entropy(logits, label, ignore_index=IGNORE_INDEX, reduction="sum")
    return total / (label != IGNORE_INDEX).sum().clamp(min=1)


def save_segmenter(segmenter: Segmenter, folder: Path) -> None:
    """Writes `unet/`, `null_prompt/` and `scaling.safetensors` into a folder."""
    segmenter.field.unet.save_pretrained(folder / "unet")
    null_prompt_from(segmenter.field.null_prompt).save_pretrained(folder / "null_prompt")
    save_scaling(segmenter.scaling, folder / SCALING)


def load_segmenter(folder: Path, scaling_factor: float) -> Segmenter:
    """Reads what `save_segmenter` wrote.

    Args:
        folder: holds `unet/`, `null_prompt/` and `scaling.safetensors`.
        scaling_factor: the autoencoder's.

    Raises:
        UserError: A file is not as it was sealed.
    """
    check_seal(folder)
    unet, null_prompt = load_unet(folder / "unet"), load_null_prompt(folder / "null_prompt")
    return Segmenter(unet, null_prompt, scaling_factor, load_scaling(folder / SCALING)).eval()
