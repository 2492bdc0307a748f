"""What `bench.speed` times: each thing as it is done, and the least that it has to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
import webdataset
from accelerate import Accelerator
from torch import Tensor, nn

from bench.cases import Case
from bench.speed_pixels import cached_masks, pixel_shards, two_workers
from semflow.core.resume import Alone, held
from semflow.flow.solvers import Solver
from semflow.image_latents.encode_images import write_image_latents
from semflow.networks.anchors import anchor_distances, nearest_anchor
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import encode_moments, to_unit_range
from semflow.networks.schema import NetworkShape
from semflow.networks.velocity import VelocityField, scratch_unet
from semflow.shards.manifest import read_manifest, write_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_bytes, png_pixels, write_shard
from semflow.training.finiteness import Finiteness
from semflow.training.loading import steps_to_come
from semflow.training.loop import learn, update
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import TrainParams
from semflow.training.state import new_state

SIZE = 256
IMAGES = 64
CHANNELS, SIDE = 4, 16
STEPS, BATCH = 20, 4
CLASSES = 171
SHAPE = NetworkShape(
    block_out_channels=(64, 128), layers_per_block=1, attention_head_dim=8, norm_num_groups=8
)


@dataclass(frozen=True)
class Sizes:
    """Of the rows of images.

    Args:
        side: Of an image, pixels.
        in_a_tar: Images of the tar that is made by one process.
        images: Of the stage that is run whole.
        mask_side: Of a mask that is encoded, pixels.
    """

    side: int = 512
    in_a_tar: int = 24
    images: int = 600
    mask_side: int = 128


def cases(folder: Path, sizes: Sizes = Sizes()) -> Iterator[Case]:
    """All rows, one after another.

    Args:
        folder: Receives what they read.
        sizes: Of the rows of images.
    """
    for make in (latents, training_step, solver, anchors, loader):
        yield make(folder)
    yield pixel_shards(folder, sizes.side, sizes.in_a_tar)
    yield two_workers(folder, sizes.side, sizes.images, sizes.in_a_tar, 3)
    yield cached_masks(folder, sizes.mask_side)


def latents(folder: Path) -> Case:
    """Image latents out of shards, against the encoder alone on images in memory."""
    pixels = _pixel_shards(folder)
    autoencoder = PatchAutoencoder(8, CHANNELS, 128, 4, 8, 1).eval().requires_grad_(False)
    places = ShardFolder(read_manifest(pixels / "train"))
    images = np.stack([png_pixels(places.read(one, "image.png")) for one in range(IMAGES)])
    batches = to_unit_range(torch.from_numpy(images)).split(BATCH)

    def done() -> None:
        """Reads, encodes both ways round and writes."""
        with TemporaryDirectory(dir=folder) as made, held(scratch := Path(made) / "scratch"):
            out = Path(made) / "out"
            write_image_latents("bench", pixels, autoencoder, BATCH, scratch, out, Alone())

    @torch.no_grad()
    def bare() -> None:
        """Encodes both ways round."""
        for image in batches:
            encode_moments(autoencoder, image)
            encode_moments(autoencoder, image.flip(3))

    return Case("image latents: with shards read and written / the encoder alone", 0.95, done, bare)


def training_step(_folder: Path) -> Case:
    """The loop's steps, samples included, against forward, backward and update alone."""
    accelerator, settings = Accelerator(cpu=True), _settings()
    samples = cast(TrainingSamples, _Samples())
    state = new_state(_field(), settings, accelerator)
    network, x, t = _field(), torch.zeros(BATCH, CHANNELS, SIDE, SIDE), torch.full((BATCH,), 0.5)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def loss_of(network: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        """Towards nothing."""
        return {"loss": network(batch["moments"], batch["uniform"]).square().mean()}

    def done() -> None:
        """As the loop does, with its checks."""
        finiteness = Finiteness(samples, accelerator, settings.learning_rate, "train")
        with steps_to_come(samples, settings, accelerator, 0) as steps:
            for parts in steps:
                learn(loss_of, parts, state, accelerator, finiteness, "train")
                update(state, accelerator, settings.max_grad_norm)
        finiteness.check_losses()

    def bare() -> None:
        """Forward, backward, clipping and update."""
        for _ in range(STEPS):
            network(x, t).square().mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return Case("training step: the loop / forward, backward and update alone", 0.97, done, bare)


def solver(_folder: Path) -> Case:
    """Euler's steps, against as many calls of the network."""
    network, x = _field().eval(), torch.randn(BATCH, CHANNELS, SIDE, SIDE)
    t = torch.full((BATCH,), 0.5)
    how = Solver("euler", STEPS, 1.0, 1e-5)

    def velocity(x: Tensor, t: float) -> Tensor:
        """As the pipeline asks."""
        return network(x, torch.full((len(x),), t))

    @torch.no_grad()
    def bare() -> None:
        """The calls alone."""
        for _ in range(STEPS):
            network(x, t)

    name = f"{STEPS} solver steps / {STEPS} calls of the network"
    return Case(name, 0.98, lambda: how.solve(velocity, x, 0.0, 1.0), bare)


def anchors(_folder: Path) -> Case:
    """Nearest anchors of a decoded pseudo-mask of many classes, against every distance."""
    colors, image = decoded_mask()

    def bare() -> Tensor:
        """A distance for each pixel and class."""
        return anchor_distances(image, colors).argmin(dim=1).to(torch.uint8)

    name = f"nearest of {CLASSES} anchors, 512 x 512 / the matrix of distances"
    return Case(name, 10.0, lambda: nearest_anchor(image, colors), bare)


def decoded_mask() -> tuple[Tensor, Tensor]:
    """Anchors (K, 3) on a lattice, and a mask (1, 3, 512, 512) in their colours with some noise."""
    steps = torch.linspace(-1, 1, 6)
    colors = torch.cartesian_prod(steps, steps, steps)[:CLASSES]
    draws = torch.Generator().manual_seed(0)
    areas = torch.randint(0, CLASSES, (16, 16), generator=draws)
    label = areas.repeat_interleave(32, 0).repeat_interleave(32, 1)
    noise = 0.05 * torch.randn(1, 3, 512, 512, generator=draws)
    return colors, colors[label].permute(2, 0, 1)[None] + noise


def loader(folder: Path) -> Case:
    """Samples by position in random order, against webdataset's own stream in order."""
    pixels = _pixel_shards(folder)
    places = ShardFolder(read_manifest(pixels / "train"))
    order = np.random.default_rng(0).permutation(IMAGES).tolist()
    tar = f"file:{(pixels / 'train' / '000000.tar').absolute()}"

    def done() -> None:
        """Reads and decodes by position."""
        for position in order:
            png_pixels(places.read(position, "image.png"))
            png_pixels(places.read(position, "label.png"))

    def bare() -> None:
        """Streams and decodes."""
        for sample in webdataset.WebDataset([tar], shardshuffle=False, empty_check=False):
            png_pixels(sample["image.png"])
            png_pixels(sample["label.png"])

    return Case("samples by position / plain webdataset in order", 1.0, done, bare)


def _pixel_shards(folder: Path) -> Path:
    """A folder of pixel shards with one split, made once."""
    pixels = folder / "pixels"
    if not pixels.exists():
        (pixels / "train").mkdir(parents=True)
        draws = np.random.default_rng(0)
        records = []
        for number in range(IMAGES):
            coarse = draws.integers(0, 256, (SIZE // 8, SIZE // 8, 3), dtype=np.uint8)
            image = coarse.repeat(8, axis=0).repeat(8, axis=1)
            content = {"image.png": png_bytes(image), "label.png": png_bytes(image[..., 0].copy())}
            records.append((f"{number:04d}", content))
        shard = write_shard(records, pixels / "train" / "000000.tar")
        write_manifest(pixels / "train", {}, [shard])
    return pixels


class _Samples:
    """Samples in memory."""

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The same one at every position."""
        return {
            "index": torch.tensor(position),
            "moments": torch.zeros(CHANNELS, SIDE, SIDE),
            "uniform": torch.tensor(0.5),
        }


def _field() -> VelocityField:
    return VelocityField(scratch_unet(SHAPE, 0, CHANNELS, CHANNELS), torch.zeros(1, 1, 8))


def _settings() -> TrainParams:
    return TrainParams(
        seed=0,
        steps=STEPS,
        batch_size=BATCH,
        schedule="constant",
        warmup_steps=0,
        adam_betas=(0.9, 0.999),
        weight_decay=0.01,
        max_grad_norm=1.0,
        ema_decay=0.0,
        mixed_precision="no",
        sample_every=STEPS,
        log_every=STEPS,
        learning_rate=1e-4,
    )
