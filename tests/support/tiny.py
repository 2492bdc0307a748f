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

from semflow.core.files import sha256_of
from semflow.core.resume import Alone, held
from semflow.evaluation.ranks import Team
from semflow.formulations.schema import FlowParams, PreconditioningParams
from semflow.image_latents.encode_images import write_image_latents
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import Autoencoder
from semflow.networks.ends import Ends
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.schema import FolderSource
from semflow.networks.sources import WEIGHTS
from semflow.networks.velocity import scratch_unet
from semflow.pipeline import SemFlowPipeline
from semflow.pseudo_masks.coloring import MEMBER
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import make_palette
from semflow.pseudo_masks.schema import NoiseParams
from semflow.schema import DatasetParams, read_params
from semflow.shards.manifest import Manifest, Shard, write_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import Record, write_shard
from semflow.training.inputs import FlowInputs, open_latents, open_split
from semflow.training.samples import OnlineMasks, TrainingSample, TrainingSamples
from semflow.training.stage import TrainStage
from support.tiny_data import BACKBONE, CLASSES, NOISE, PALETTE, SHAPE, SIZE, scratch_for
from tools.closure import ROOT

PATCH = 4
CHANNELS = 3 * PATCH**2  # as many as a patch has numbers, so that nothing need be lost


@dataclass(frozen=True)
class TinyDataset:
    """Where the stages' outputs of the tiny data set lie."""

    index: Path
    shards: Path
    pseudo_masks: Path
    image_latents: Path


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]
"""Runs `semflow ARGUMENTS...` in this process."""


def latents_of(pixels: Path, autoencoder: Autoencoder, out: Path) -> None:
    """Writes image latents in batches of four, made in a scratch folder `<out>.scratch`."""
    with held(scratch := scratch_for(out)):
        write_image_latents("earth", pixels, autoencoder, 4, scratch, out, Alone())


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
            "noise": NOISE,
            "backbone": BACKBONE,
            "flow": earth.flow.model_copy(
                update={
                    "probability_at_image": 0.4,
                    "probability_at_mask": 0.15,
                    "own_states": None,
                    "standardise_ends": False,
                    "anchor_states": "image",
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
                update={
                    "solver": "euler",
                    "last_step_from": None,
                    "segment_steps": 1,
                    "synthesize_steps": 2,
                }
            ),
        }
    )


CURES: dict[str, Any] = {
    "t_power": 2.0,
    "bridge_noise": 0.2,
    "own_states": {"share": 0.5, "until": 1.0, "max_steps": 2},
    "standardise_ends": True,
    "anchor_states": "all",
    "correction_weight": 0.5,
}
"""All of block `flow` that the paper does not have and that needs no other networks."""


def with_all_cures(params: DatasetParams) -> DatasetParams:
    """Small parameters with everything switched on that a training can have."""
    flow = FlowParams.model_validate(params.flow.model_dump() | CURES)
    noise = params.noise.model_copy(
        update={"cells": (1, 4, 8), "shares": (0.5, 0.25, 0.25), "latents": 0.1}
    )
    return params.model_copy(update={"flow": flow, "noise": noise})


def pinned(path: Path, weights: Path) -> FolderSource:
    """A network in a folder, as params.yaml pins it; its weights may lie deeper than its path."""
    return FolderSource(
        source="folder",
        path=path.as_posix(),
        sha256=sha256_of(weights / WEIGHTS),
        config_sha256=sha256_of(weights / "config.json"),
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


def tiny_pipeline(
    moving: bool = False,
    scaling_factor: float = 0.5,
    ends: Ends | None = None,
    latent_noise: float = NOISE.latents,
) -> SemFlowPipeline:
    """A checkpoint that loses nothing in its autoencoder.

    Args:
        moving: random weights in the last layer; without, the velocity is zero everywhere.
        scaling_factor: the autoencoder's.
        ends: what brings both ends to one scale, if anything.
        latent_noise: deviation of the normal noise on a mask's latents.
    """
    unet = scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS)
    if moving:
        nn.init.normal_(unet.conv_out.weight, std=0.05, generator=torch.Generator().manual_seed(1))
    palette = make_palette(PALETTE, len(CLASSES.names))
    pipeline = SemFlowPipeline(
        vae=lossless_autoencoder(scaling_factor),
        unet=unet.eval(),
        null_prompt=NullPrompt(tokens=1, width=unet.config.cross_attention_dim),
        ends=ends,
        anchors=palette.anchors.tolist(),
        ignore_color=palette.ignore_color.tolist(),
        amplitude=NOISE.amplitude,
        noise_cells=list(NOISE.cells),
        noise_shares=list(NOISE.shares),
        latent_noise=latent_noise,
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


def flow_inputs(dataset: TinyDataset, models: Path, mask_latents: Path) -> FlowInputs:
    """The tiny data set with the autoencoder and the backbone in a folder."""
    return FlowInputs(
        "earth",
        dataset.shards,
        dataset.image_latents,
        models / "autoencoder",
        models / "backbone",
        dataset.pseudo_masks,
        mask_latents,
    )


def tiny_samples(params: DatasetParams, dataset: TinyDataset) -> TrainingSamples:
    """The tiny train split, its masks encoded online."""
    accelerator = Accelerator(cpu=True)
    pseudo_masks = open_split("earth", "pseudo_masks", dataset.pseudo_masks, accelerator)
    palette = make_palette(params.palette, len(CLASSES.names))
    return TrainingSamples(
        ShardFolder(pseudo_masks),
        MEMBER,
        open_latents("earth", "image_latents", dataset.image_latents, pseudo_masks, accelerator),
        OnlineMasks(palette.color_table(), noise_of(params.noise)),
        CLASSES.mirrored,
        params.train.seed,
    )


def train_stage(params: DatasetParams) -> TrainStage:
    """What the stage `train` reads of a block."""
    return TrainStage.model_validate(params.model_dump())


def noise_of(params: NoiseParams) -> Noise:
    """The noise of a block, its amplitude unchecked."""
    return Noise(params.amplitude, params.cells, params.shares, params.latents)


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are equal bit for bit."""
    mine: dict[str, Tensor] = one.state_dict()
    theirs: dict[str, Tensor] = other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
