"""Training a patch autoencoder on images and on randomly coloured label maps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from semflow.core.labels import IGNORE_INDEX, class_table
from semflow.core.seeds import spread
from semflow.networks.anchors import anchor_distances
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import to_unit_range
from semflow.networks.schema import ScratchAutoencoder
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, png_pixels
from semflow.training.logs import TrainingLog

PCA_SAMPLES = 1000


def train_autoencoder(dataset: str, params: ScratchAutoencoder, pixels: Path) -> PatchAutoencoder:
    """Starts from the PCA of patches and learns a correction.

    Label maps are coloured anew for every sample, with colours drawn at random at random contrast,
    so that no palette is favoured; the loss asks for each pixel's own colour among its map's.

    Args:
        dataset: its name, for logs.
        params: shape and schedule.
        pixels: pixel shards; the train split is used.

    Returns:
        the autoencoder, its scaling factor set so that image latents have unit variance.
    """
    manifest = read_manifest(pixels / "train")
    folder = ShardFolder(manifest)
    num_classes = len(class_table(manifest.about["classes"]).names)
    generator = np.random.default_rng(params.seed)
    autoencoder = _new_autoencoder(params)
    autoencoder.set_linear_path(_pca_basis(folder, num_classes, autoencoder, generator))
    optimizer, schedule = _optimizer(autoencoder, params)
    log = TrainingLog(dataset, "autoencoder")
    log.start(0)
    for step in tqdm(range(params.steps), desc="autoencoder", unit=" steps", mininterval=5):
        losses = _losses(autoencoder, folder, num_classes, params, generator)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % params.log_every == 0:
            log.add(step + 1, {name: float(value.detach()) for name, value in losses.items()})
    autoencoder.register_to_config(scaling_factor=_scaling_factor(autoencoder, folder))
    return autoencoder.eval()


def _new_autoencoder(params: ScratchAutoencoder) -> PatchAutoencoder:
    torch.manual_seed(params.seed)
    return PatchAutoencoder(
        params.patch_size,
        params.latent_channels,
        params.encoder_channels,
        params.encoder_blocks,
        params.decoder_channels,
        params.decoder_blocks,
    )


def _optimizer(
    autoencoder: PatchAutoencoder, params: ScratchAutoencoder
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer = torch.optim.AdamW(
        autoencoder.parameters(), lr=params.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, params.learning_rate, total_steps=max(params.steps, 1), pct_start=0.05
    )
    return optimizer, schedule


def _losses(
    autoencoder: PatchAutoencoder,
    folder: ShardFolder,
    num_classes: int,
    params: ScratchAutoencoder,
    generator: np.random.Generator,
) -> dict[str, Tensor]:
    count = params.batch_size
    image = to_unit_range(_read(folder, generator.integers(len(folder), size=count), "image.png"))
    label = _read(folder, generator.integers(len(folder), size=count), "label.png").long()
    colors = random_colors(count, num_classes, generator)
    pixels = torch.cat([image, color_labels(label, colors)])
    if generator.integers(2):
        pixels, label = pixels.flip(3), label.flip(2)
    mean = autoencoder.encode(pixels).latent_dist.mean
    jitter = torch.from_numpy(generator.standard_normal(mean.shape, dtype=np.float32))
    decoded = autoencoder.decode(mean + params.latent_noise * jitter).sample
    image_loss = F.mse_loss(decoded[:count], pixels[:count])
    mask_loss = F.mse_loss(decoded[count:], pixels[count:])
    distances = torch.stack(
        [anchor_distances(d[None], c)[0] for d, c in zip(decoded[count:], colors, strict=True)]
    )
    color_loss = F.cross_entropy(
        -distances / params.color_temperature, label, ignore_index=IGNORE_INDEX
    )
    loss = params.image_loss_weight * image_loss + mask_loss + params.color_loss_weight * color_loss
    return {"loss": loss, "image": image_loss, "mask": mask_loss, "color": color_loss}


def random_colors(count: int, num_classes: int, generator: np.random.Generator) -> Tensor:
    """Colours (N, K, 3) float32 in [-1, 1], for each map uniform in a random box."""
    colors = generator.uniform(-1, 1, (count, num_classes, 3))
    contrast = generator.uniform(0.15, 1, (count, 1, 3))
    centre = generator.uniform(-1, 1, (count, 1, 3)) * (1 - contrast)
    return torch.from_numpy((colors * contrast + centre).astype(np.float32))


def color_labels(label: Tensor, colors: Tensor) -> Tensor:
    """Labels (N, H, W) int64 and colours (N, K, 3) -> maps (N, 3, H, W); ignored pixels white."""
    table = F.pad(colors, (0, 0, 0, 256 - colors.shape[1]), value=1.0)
    rows = torch.arange(len(label))[:, None, None]
    return table[rows, label].permute(0, 3, 1, 2).contiguous()


def _pca_basis(
    folder: ShardFolder,
    num_classes: int,
    autoencoder: PatchAutoencoder,
    generator: np.random.Generator,
) -> Tensor:
    """The leading eigenvectors of the mean second moment of image and coloured-label patches."""
    size = autoencoder.config.patch_size
    chosen = generator.permutation(len(folder))[:PCA_SAMPLES]
    image = to_unit_range(_read(folder, chosen, "image.png"))
    label = _read(folder, chosen, "label.png").long()
    mask = color_labels(label, random_colors(len(label), num_classes, generator))
    moment = sum(_second_moment(pixels, size) for pixels in (image, mask))
    _, vectors = torch.linalg.eigh(moment)
    return vectors.flip(1)[:, : autoencoder.config.latent_channels].float()


def _second_moment(pixels: Tensor, size: int) -> Tensor:
    patches = F.pixel_unshuffle(pixels, size).permute(0, 2, 3, 1).reshape(-1, 3 * size**2).double()
    return patches.T @ patches / len(patches)


@torch.no_grad()
def _scaling_factor(autoencoder: PatchAutoencoder, folder: ShardFolder) -> float:
    chosen = spread(len(folder), PCA_SAMPLES)
    image = to_unit_range(_read(folder, chosen, "image.png"))
    latents = torch.cat([autoencoder.encode(part).latent_dist.mean for part in image.split(64)])
    return round(1 / float(latents.std()), 5)


def _read(folder: ShardFolder, positions: Iterable[int], member: str) -> Tensor:
    return torch.from_numpy(
        np.stack([png_pixels(folder.read(int(position), member)) for position in positions])
    )
