"""Image latent shards: posterior moments of every image and of its mirror image, in float16."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from semflow.core.resume import Ranks, resumable
from semflow.networks.encoding import (
    Autoencoder,
    encode_moments,
    encoding_hardware,
    to_unit_range,
)
from semflow.networks.sources import load_autoencoder
from semflow.networks.vae_memory import fit_autoencoder
from semflow.shards.manifest import Manifest, read_manifests, verify_shards
from semflow.shards.reading import stream
from semflow.shards.tar import Record, array_bytes, png_pixels
from semflow.shards.writing import complete_shards, publish_shards

STAGE = "image_latents"


def encode_images(
    dataset: str, batch_size: int, pixels: Path, autoencoder: Path, out: Path
) -> None:
    """Encodes every split on all processes of the launch; a killed run goes on where it was.

    Args:
        dataset: Its name.
        batch_size: Images encoded at once.
        pixels: Holds a folder of pixel shards for each split.
        autoencoder: Folder of the autoencoder.
        out: Receives a folder for each split, whole or not at all.

    Raises:
        UserError: A pixel shard is damaged, or another run is at work.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    network = load_autoencoder(autoencoder).to(accelerator.device)
    parameters = {"latents": {"batch_size": batch_size}}
    inputs = [pixels, autoencoder]
    hardware = encoding_hardware(accelerator) | fit_autoencoder(network)
    with resumable(STAGE, dataset, parameters, inputs, accelerator, hardware) as work:
        write_image_latents(dataset, pixels, network, batch_size, work.folder, out, accelerator)


def write_image_latents(
    dataset: str,
    pixels: Path,
    autoencoder: Autoencoder,
    batch_size: int,
    scratch: Path,
    out: Path,
    ranks: Ranks,
) -> None:
    """Encodes every split of a pixel shard folder, shard by shard.

    Args:
        dataset: Its name, for the commands in errors.
        pixels: Holds a folder of pixel shards for each split.
        autoencoder: Encodes images, on its own device.
        batch_size: Images encoded at once; a batch never reaches from one shard into the next.
        scratch: The run's folder, held by the main process.
        out: Receives a folder for each split, whole or not at all, with the members
            `moments.npy` and `mirrored.npy`, (2C, h, w) float16.
        ranks: The processes that do so together.

    Raises:
        UserError: A pixel shard is damaged.
    """
    sources = read_manifests(pixels)

    def records(split: str, number: int) -> Iterator[Record]:
        """Of one shard."""
        source = sources[split].only(number)
        verify_shards(source, f"dvc repro -f shards@{dataset}")
        return _records(source, autoencoder, batch_size)

    sizes = {split: source.sizes() for split, source in sources.items()}
    complete_shards(scratch, STAGE, sizes, records, ranks)
    if ranks.is_main_process:
        counts = {split: len(found) for split, found in sizes.items()}
        scaling_factor = autoencoder.config.scaling_factor
        about = {split: {"scaling_factor": scaling_factor, "split": split} for split in sources}
        publish_shards(scratch, counts, about, out)


@torch.no_grad()
def _records(source: Manifest, autoencoder: Autoencoder, batch_size: int) -> Iterator[Record]:
    samples = stream(source)
    while batch := list(islice(samples, batch_size)):
        pixels = np.stack([png_pixels(members["image.png"]) for _, members in batch])
        image = to_unit_range(torch.from_numpy(pixels)).to(autoencoder.device)
        moments = encode_moments(autoencoder, image).half().cpu().numpy()
        mirrored = encode_moments(autoencoder, image.flip(3)).half().cpu().numpy()
        for number, (key, _) in enumerate(batch):
            yield (
                key,
                {
                    "moments.npy": array_bytes(moments[number]),
                    "mirrored.npy": array_bytes(mirrored[number]),
                },
            )
