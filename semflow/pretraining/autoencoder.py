"""Training a patch autoencoder on images and on randomly coloured label maps."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX, class_table
from semflow.core.logs import TrainingLog
from semflow.core.progress import progress_over
from semflow.core.resume import newest_state, save_state
from semflow.core.seeds import spread
from semflow.networks.anchors import anchor_distances
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import to_unit_range
from semflow.networks.schema import ScratchAutoencoder
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

PCA_SAMPLES = 1000
SECONDS_BETWEEN_STATES = 60.0


def train_autoencoder(
    dataset: str, params: ScratchAutoencoder, pixels: Path, scratch: Path
) -> PatchAutoencoder:
    """Starts from the PCA of patches and learns a correction.

    Label maps are coloured anew for every sample, with colours drawn at random at random contrast,
    so that no palette is favoured; the loss asks for each pixel's own colour among its map's.

    Args:
        dataset: Its name, for logs.
        params: Shape and schedule.
        pixels: Pixel shards; the train split is used.
        scratch: The run's folder; training goes on from the state in it.

    Returns:
        The autoencoder, its scaling factor set so that image latents have unit variance.

    Raises:
        UserError: The loss, a weight or the scaling factor is not finite.
    """
    manifest = read_manifest(pixels / "train")
    folder = ShardFolder(manifest)
    num_classes = len(class_table(manifest.about["classes"]).names)
    run = _begin(params, folder, num_classes)
    _restore(run, scratch)
    log = TrainingLog(dataset, "autoencoder")
    log.start(run.step)
    saved_at = time.monotonic()
    steps = range(run.step, params.steps)
    for _ in progress_over(steps, params.steps, "autoencoder", "steps", run.step):
        losses = _take_step(run, folder, num_classes, params)
        last = run.step == params.steps
        if run.step % params.log_every == 0 or last:
            _check_finite(losses["loss"], f"the autoencoder's loss at step {run.step}")
            log.add(run.step, {name: float(value) for name, value in losses.items()})
        # The last state too: what is killed before its output is safe ends again without training.
        if time.monotonic() - saved_at >= SECONDS_BETWEEN_STATES or last:
            for name, weight in run.autoencoder.named_parameters():
                _check_finite(weight.detach().sum(), f"the sum of {name} after step {run.step}")
            save_state(scratch, run.step, partial(torch.save, _state(run)))
            saved_at = time.monotonic()
    run.autoencoder.register_to_config(scaling_factor=_scaling_factor(run.autoencoder, folder))
    return run.autoencoder.eval()


@dataclass
class _Run:
    """Everything that a step changes."""

    autoencoder: PatchAutoencoder
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: np.random.Generator
    step: int = 0


def _begin(params: ScratchAutoencoder, folder: ShardFolder, num_classes: int) -> _Run:
    generator = np.random.default_rng(params.seed)
    autoencoder = _new_autoencoder(params)
    autoencoder.set_linear_path(_pca_basis(folder, num_classes, autoencoder, generator))
    return _Run(autoencoder, *_optimizer(autoencoder, params), generator)


def _state(run: _Run) -> dict[str, Any]:
    return {
        "autoencoder": run.autoencoder.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state_dict(),
        # As text: its integers are longer than those that are read without unpickling.
        "generator": json.dumps(run.generator.bit_generator.state),
        "step": run.step,
    }


def _restore(run: _Run, scratch: Path) -> None:
    path = newest_state(scratch)
    if path is None:
        return
    state = torch.load(path, weights_only=True)
    run.autoencoder.load_state_dict(state["autoencoder"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.schedule.load_state_dict(state["schedule"])
    run.generator.bit_generator.state = json.loads(state["generator"])
    run.step = state["step"]
    print(f"autoencoder: resumed at step {run.step}", file=sys.stderr, flush=True)


def _take_step(
    run: _Run, folder: ShardFolder, num_classes: int, params: ScratchAutoencoder
) -> dict[str, Tensor]:
    losses = _losses(run.autoencoder, folder, num_classes, params, run.generator)
    losses["loss"].backward()
    torch.nn.utils.clip_grad_norm_(run.autoencoder.parameters(), 1.0)
    run.optimizer.step()
    run.schedule.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    return {name: value.detach() for name, value in losses.items()}


def _check_finite(value: Tensor, what: str) -> None:
    if not math.isfinite(float(value)):
        raise UserError(f"{what} is {float(value)}; lower autoencoder.learning_rate")


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
    logits = -distances / params.color_temperature
    color_loss = F.cross_entropy(logits, label, ignore_index=IGNORE_INDEX, reduction="sum")
    color_loss = color_loss / (label != IGNORE_INDEX).sum().clamp(min=1)
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
    deviation = float(latents.std())
    factor = round(1 / deviation, 5) if deviation else math.inf
    if not 0 < factor < math.inf:
        raise UserError(
            f"image latents have a standard deviation of {deviation:g}, which no scaling factor "
            "makes 1; lower autoencoder.learning_rate, or look at the images"
        )
    return factor


def _read(folder: ShardFolder, positions: Iterable[int], member: str) -> Tensor:
    return torch.from_numpy(
        np.stack([png_pixels(folder.read(int(position), member)) for position in positions])
    )
