"""Image latent shards: posterior moments of every image and of its mirror image, in float16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from semflow.core.errors import UserError
from semflow.latents.encoding import encoding_scratch
from semflow.networks.encoding import Autoencoder, encode_moments, to_unit_range
from semflow.networks.sources import load_autoencoder
from semflow.shards.digests import SplitDigests, digest_of, read_digests
from semflow.shards.manifest import Manifest, read_manifest, verify_shards
from semflow.shards.tar import ShardFolder, array_bytes, batches, png_pixels
from semflow.shards.writing import Ranks, Record, complete_shards, publish_shards

STAGE = "image_latents"


@dataclass(frozen=True)
class LatentWork:
    """What is encoded, and by what.

    Args:
        dataset: its name, for the commands in errors.
        pixels: holds a folder of pixel shards for each split.
        digests: what the images and labels must be, as `write_pixel_shards` noted it.
        autoencoder: encodes them, on its own device.
        batch_size: images encoded at once; a batch never reaches from one shard into the next.
    """

    dataset: str
    pixels: Path
    digests: Path
    autoencoder: Autoencoder
    batch_size: int

    @property
    def rebuild(self) -> str:
        """The command that makes the pixel shards anew."""
        return f"dvc repro -f shards@{self.dataset}"


def encode_images(
    dataset: str, batch_size: int, pixels: Path, digests: Path, autoencoder: Path, out: Path
) -> None:
    """Encodes every split on all processes of the launch; a killed run goes on where it was.

    Args:
        dataset: its name.
        batch_size: images encoded at once.
        pixels: holds a folder of pixel shards for each split.
        digests: what the images and labels must be.
        autoencoder: folder of the autoencoder.
        out: receives a folder for each split, whole or not at all.

    Raises:
        UserError: a shard is not the one that the digests name, or another run is at work.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    network = load_autoencoder(autoencoder).to(accelerator.device)
    work = LatentWork(dataset, pixels, digests, network, batch_size)
    parameters = {"batch_size": batch_size}
    with encoding_scratch(
        STAGE, dataset, parameters, [digests, autoencoder], accelerator
    ) as scratch:
        write_image_latents(work, scratch, out, accelerator)


def write_image_latents(work: LatentWork, scratch: Path, out: Path, ranks: Ranks) -> None:
    """Encodes every split of a pixel shard folder, shard by shard.

    Args:
        work: what to encode.
        scratch: the stage's folder, held by the main process.
        out: receives a folder for each split, whole or not at all, with the members
            `moments.npy` and `mirrored.npy`, (2C, h, w) float16.
        ranks: the processes that do so together.

    Raises:
        UserError: a shard is not the one that the digests name.
    """
    expected = read_digests(work.digests)
    sources = {split: _open_split(work, split, digests) for split, digests in expected.items()}
    counts = {split: source.tars for split, source in sources.items()}

    def records(split: str, number: int) -> Iterator[Record]:
        """Of one shard."""
        return _records(work, sources[split].only(number), expected[split].shards[number])

    complete_shards(scratch, STAGE, counts, records, ranks)
    if ranks.is_main_process:
        publish_shards(scratch, counts, {split: _about(work, split) for split in counts}, out)


def _about(work: LatentWork, split: str) -> Mapping[str, object]:
    return {"scaling_factor": work.autoencoder.config.scaling_factor, "split": split}


def _open_split(work: LatentWork, split: str, digests: SplitDigests) -> Manifest:
    source = read_manifest(work.pixels / split)
    found, wanted = (source.tars, len(source)), (len(digests.shards), digests.samples)
    if found != wanted:
        raise UserError(
            f"{source.folder} has {found[1]} samples in {found[0]} tars, {work.digests} names "
            f"{wanted[1]} in {wanted[0]}; run: {work.rebuild}"
        )
    return source


@torch.no_grad()
def _records(work: LatentWork, source: Manifest, digest: str) -> Iterator[Record]:
    folder = _checked_shard(work, source, digest)
    for positions in batches(folder, work.batch_size):
        pixels = [png_pixels(folder.read(position, "image.png")) for position in positions]
        image = to_unit_range(torch.from_numpy(np.stack(pixels))).to(work.autoencoder.device)
        moments = encode_moments(work.autoencoder, image).half().cpu().numpy()
        mirrored = encode_moments(work.autoencoder, image.flip(3)).half().cpu().numpy()
        for number, position in enumerate(positions):
            yield (
                folder.key(position),
                {
                    "moments.npy": array_bytes(moments[number]),
                    "mirrored.npy": array_bytes(mirrored[number]),
                },
            )


def _checked_shard(work: LatentWork, source: Manifest, digest: str) -> ShardFolder:
    verify_shards(source, work.rebuild)
    folder = ShardFolder(source)
    if digest_of(folder) != digest:
        (shard,) = source.shards()
        raise UserError(
            f"{source.folder / shard.name} holds other images or labels than {work.digests} "
            f"names; run: {work.rebuild}"
        )
    return folder
