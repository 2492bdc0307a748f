"""Rows of `bench.speed` about images and masks: tars of pixels, and masks from the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.cases import Case
from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.core.resume import finished_folder, held
from semflow.datasets.folder import FolderReader
from semflow.datasets.schema import FolderIndex
from semflow.index.checking import write_index
from semflow.index.listing import Index
from semflow.networks.known import known_config
from semflow.pseudo_masks.noise import Noise
from semflow.shards.pixels import PixelWork, make_shard, write_pixel_shards
from semflow.shards.resizing import resize, windows
from semflow.shards.schema import ShardParams
from semflow.shards.tar import png_bytes
from semflow.training.loss import end_points
from semflow.training.samples import TrainingSample

CLASSES = 8
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def pixel_shards(folder: Path, side: int, images: int) -> Case:
    """A tar of pixels out of image files, against reading, resizing and encoding them alone.

    Args:
        folder: Receives what they read.
        side: Of the resized images, pixels; the files' is half as much again.
        images: Files of one tar.
    """
    work = _work(folder, side, images, images)
    index = work.index

    def done() -> None:
        """The tar, its checksum and its note."""
        with TemporaryDirectory(dir=folder) as scratch:
            one = PixelWork(index, work.reader, work.params, Path(scratch))
            make_shard(one, ("train", 0, 0))
            assert any(finished_folder(one.scratch).rglob("*.tar"))

    def bare() -> None:
        """The files' bytes to the members' bytes."""
        for sample in index.samples("train"):
            image, label = work.reader.read(sample)
            (window,) = windows(sample.key, label.shape, work.params)
            for pixels in resize(image, label, window, work.params):
                png_bytes(pixels)

    return Case("pixel shards / reading, resizing and encoding alone", 0.9, done, bare)


def two_workers(folder: Path, side: int, images: int, per_tar: int, pairs: int) -> Case:
    """The stage with two workers, against one; both start their workers and end them.

    Args:
        folder: Receives what they read.
        side: Of the resized images, pixels.
        images: Files in all.
        per_tar: What a worker does at a time.
        pairs: How often both are timed; each takes a while.
    """
    work = _work(folder, side, images, per_tar)

    def made_by(workers: int) -> None:
        """The whole stage."""
        with (
            _workers(workers),
            TemporaryDirectory(dir=folder) as made,
            held(scratch := Path(made) / "scratch" / "0"),
        ):
            one = PixelWork(work.index, work.reader, work.params, scratch)
            write_pixel_shards(one, Path(made) / "out")

    name = "pixel shards by two workers / by one"
    return Case(name, 1.8, lambda: made_by(2), lambda: made_by(1), pairs)


def cached_masks(_folder: Path, side: int) -> Case:
    """Both ends of a step's samples: out of the cache, against encoding the masks.

    Stable Diffusion's autoencoder in its own size, with random weights.

    Args:
        side: Of an image, pixels.
    """
    # Not above: only behind semflow's guard does it bear a torchvision of another build.
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    config = known_config(STABLE_DIFFUSION, "vae")
    autoencoder = AutoencoderKL.from_config(config).eval().requires_grad_(False)
    channels, cells = autoencoder.config.latent_channels, side // 8
    both = {
        "moments": torch.zeros(1, 2 * channels, cells, cells),
        "moments_noise": torch.zeros(1, channels, cells, cells),
    }
    cached: TrainingSample = {**both, "x_1": torch.zeros(1, channels, cells, cells)}  # type: ignore[typeddict-item]
    image = torch.zeros(1, 3, side, side)
    online: TrainingSample = {**both, "pseudo_mask": image, "mask_noise": image}  # type: ignore[typeddict-item]

    def ends(batch: TrainingSample) -> tuple[Tensor, Tensor]:
        """As the loss asks for them."""
        return end_points(autoencoder, batch, "sample", Noise(6.0))

    name = f"ends of a sample, {side} x {side}: mask latents cached / encoded by SD's autoencoder"
    return Case(name, 10.0, lambda: ends(cached), lambda: ends(online))


def _work(folder: Path, side: int, images: int, per_tar: int) -> PixelWork:
    """A folder of photos and labels with its index; made once for each number of images."""
    place = folder / f"photos-{side}-{images}"
    params = FolderIndex(
        reader="folder",
        classes=tuple(
            {"name": f"class {one}", "color": (one, 0, 0), "id": one}  # type: ignore[misc]
            for one in range(CLASSES)
        ),
        mirrored=(),
        ignore_ids=(255,),
        background=None,
        max_rejects=0,
    )
    if not place.exists():
        for split, number in (("train", images), ("val", 1)):
            _write_photos(place / "raw" / split, side * 3 // 2, number)
    reader = FolderReader(place / "raw", params)
    shape = ShardParams(
        image_size=(side, side), image_filter="bicubic", crops=None, samples_per_shard=per_tar
    )
    return PixelWork(_index(reader, place), reader, shape, folder)


def _index(reader: FolderReader, place: Path) -> Index:
    with _workers(1), held(scratch := place / "scratch" / "0"):
        return write_index(reader, scratch, place / "index", 0)


def _write_photos(folder: Path, side: int, images: int) -> None:
    draws = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(images):
        coarse = Image.fromarray(draws.integers(0, 256, (side // 16, side // 16, 3), np.uint8))
        photo = coarse.resize((side, side), Image.Resampling.BICUBIC)
        photo.save(folder / "images" / f"{number:05d}.jpg", quality=90)
        areas = Image.fromarray(draws.integers(0, CLASSES, (side // 32, side // 32), np.uint8))
        label = areas.resize((side, side), Image.Resampling.NEAREST)
        label.save(folder / "labels" / f"{number:05d}.png")


@contextmanager
def _workers(number: int) -> Iterator[None]:
    """Local workers, so many, for the length of the block."""
    before = {name: os.environ.pop(name, None) for name in (WORKERS_VARIABLE, SCHEDULER_VARIABLE)}
    os.environ[WORKERS_VARIABLE] = str(number)
    try:
        yield
    finally:
        del os.environ[WORKERS_VARIABLE]
        os.environ.update({name: value for name, value in before.items() if value is not None})
