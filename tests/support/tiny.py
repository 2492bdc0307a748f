"""Small real things for the tests: a data set of a few random images, and networks to fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from semflow.core.scratch import held
from semflow.evaluation.ranks import Team
from semflow.latents.image_latents import LatentWork, write_image_latents
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import Autoencoder
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams, read_params
from semflow.shards.manifest import Manifest, Shard, write_manifest
from semflow.shards.writing import Record, write_shard
from semflow.training.inputs import TrainingInputs, open_training_samples
from semflow.training.masks import OnlineMasks
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import PreconditioningParams
from support.closure import ROOT
from support.tiny_data import BACKBONE, CLASSES, PALETTE, SHAPE, SIZE, scratch_for

PATCH = 4
CHANNELS = 3 * PATCH**2  # as many as a patch has numbers, so that nothing need be lost


@dataclass(frozen=True)
class TinyDataset:
    """Where the stages' outputs of the tiny data set lie."""

    index: Path
    shards: Path
    digests: Path
    image_latents: Path


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]
"""Runs `semflow ARGUMENTS...` in this process."""


@dataclass(frozen=True)
class Alone:
    """One process that waits for nobody."""

    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        pass


def latents_of(pixels: Path, digests: Path, autoencoder: Autoencoder, out: Path) -> None:
    """Writes image latents in batches of four, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        work = LatentWork("earth", pixels, digests, autoencoder, batch_size=4)
        write_image_latents(work, scratch, out, Alone())


def shard_folder(
    records: Iterable[Record], folder: Path, samples_per_shard: int, about: dict[str, Any]
) -> Manifest:
    """Packs any records into a folder of tars, 000000.tar and so on, with their manifest."""
    iterator = iter(records)
    shards: list[Shard] = []
    while batch := list(islice(iterator, samples_per_shard)):
        shards.append(write_shard(batch, folder / f"{len(shards):06d}.tar"))
    return write_manifest(folder, about, shards)


ALONE = Team(Accelerator(cpu=True))
"""One process."""


def tiny_params() -> DatasetParams:
    """The block of params.yaml with everything that costs time made small."""
    earth = read_params(ROOT / "params.yaml").dataset("earth")
    return earth.model_copy(
        update={
            "shards": SHAPE,
            "palette": PALETTE,
            "backbone": BACKBONE,
            "flow": earth.flow.model_copy(
                update={
                    "probability_at_image": 0.4,
                    "probability_at_mask": 0.15,
                    "preconditioning": PreconditioningParams(samples=4, loss_power=0.5),
                    "posterior": "sample",
                    "velocity_loss_weight": 1.0,
                    "anchor_loss_weight": 0.5,
                    "anchor_temperature": 1.0,
                }
            ),
            "train": earth.train.model_copy(
                update={
                    "seed": 3,
                    "steps": 4,
                    "batch_size": 3,
                    "learning_rate": 0.003,
                    "schedule": "constant",
                    "warmup_steps": 0,
                    "sample_every": 100,
                    "log_every": 1,
                    "ema_decay": 0.0,
                    "mixed_precision": "no",
                }
            ),
            "inference": earth.inference.model_copy(
                update={"solver": "euler", "segment_steps": 1, "synthesize_steps": 2}
            ),
        }
    )


def lossless_autoencoder(scaling_factor: float = 1.0, seed: int = 0) -> PatchAutoencoder:
    """Turns patches by a random rotation; the correction is still zero, so decoding undoes it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = PatchAutoencoder(PATCH, CHANNELS, 4, 1, 4, 1, scaling_factor)
    rotation, _ = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator))
    autoencoder.set_linear_path(rotation)
    return autoencoder.eval().requires_grad_(False)


def tiny_pipeline(moving: bool = False, scaling_factor: float = 0.5) -> SemFlowPipeline:
    """A checkpoint that loses nothing in its autoencoder.

    Args:
        moving: random weights in the last layer; without, the velocity is zero everywhere.
        scaling_factor: the autoencoder's.
    """
    unet = scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS)
    if moving:
        nn.init.normal_(unet.conv_out.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    palette = make_palette(PALETTE, len(CLASSES.names))
    pipeline = SemFlowPipeline(
        vae=lossless_autoencoder(scaling_factor),
        unet=unet.eval(),
        null_prompt=NullPrompt(tokens=1, width=unet.config.cross_attention_dim),
        anchors=palette.anchors.tolist(),
        ignore_color=palette.ignore_color.tolist(),
        amplitude=palette.amplitude,
        noise_cell=palette.grain.cell,
        noise_share=palette.grain.share,
        class_names=list(CLASSES.names),
        class_colors=[list(color) for color in CLASSES.colors],
        image_size=[SIZE, SIZE],
        segment_steps=1,
        synthesize_steps=2,
        solver="euler",
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def random_label(seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    """Random class ids (size, size), without ignored pixels."""
    return np.random.default_rng(seed).integers(0, 4, (size, size)).astype(np.uint8)


def random_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(N, SIZE, SIZE, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


def tensors_of(sample: TrainingSample) -> dict[str, Tensor]:
    """A training sample as an ordinary mapping."""
    return cast(dict[str, Tensor], sample)


def training_inputs(pixels: Path, latents: Path, models: Path) -> TrainingInputs:
    """The tiny data set with the autoencoder and the backbone in a folder."""
    return TrainingInputs("earth", pixels, latents, models / "autoencoder", models / "backbone")


def tiny_samples(params: DatasetParams, pixels: Path, latents: Path) -> TrainingSamples:
    """The tiny train split, its masks encoded online."""
    masks = OnlineMasks(make_palette(params.palette, len(CLASSES.names)))
    inputs = training_inputs(pixels, latents, pixels.parent)
    return open_training_samples(inputs, params.train.seed, masks)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are equal bit for bit."""
    mine: dict[str, Tensor] = one.state_dict()
    theirs: dict[str, Tensor] = other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
