"""Image latent shards: posterior moments of every image and of its mirror image, in float16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from semflow.errors import UserError
from semflow.files import read_json, whole_folder
from semflow.networks.latents import Autoencoder, encode_moments, to_unit_range
from semflow.shards.manifest import Manifest, read_manifest, write_manifest
from semflow.shards.pixels import sample_digest
from semflow.shards.tar import (
    Record,
    ShardFolder,
    array_bytes,
    batches,
    png_pixels,
    write_shards,
)


def write_image_latents(
    pixels: Path, digests: Path, autoencoder: Autoencoder, batch_size: int, out: Path
) -> None:
    """Encodes every split of a pixel shard folder.

    Args:
        pixels: holds a folder of pixel shards for each split.
        digests: what the samples must be, as `write_pixel_shards` noted it.
        autoencoder: encodes them.
        batch_size: images encoded at once.
        out: receives a folder for each split, whole or not at all, with the members
            `moments.npy` and `mirrored.npy`, (2C, h, w) float16.

    Raises:
        UserError: a sample is not the one that the digests name.
    """
    expected = read_json(digests)
    with whole_folder(out) as folder:
        for split, sums in expected.items():
            source = read_manifest(pixels / split)
            if missing := sums.keys() - set(source.keys()):
                raise UserError(f"{source.folder} lacks {min(missing)}; run: dvc repro -f shards")
            (folder / split).mkdir()
            records = _records(ShardFolder(source), sums, autoencoder, batch_size)
            shards = write_shards(records, folder / split, len(source.shards[0].samples))
            about = {"scaling_factor": autoencoder.config.scaling_factor, "split": split}
            write_manifest(Manifest(folder / split, shards, about))


@torch.no_grad()
def _records(
    source: ShardFolder, digests: dict[str, str], autoencoder: Autoencoder, batch_size: int
) -> Iterator[Record]:
    for positions in batches(source, batch_size):
        contents = [source.read(position, "image.png") for position in positions]
        keys = [source.key(position) for position in positions]
        for position, key, content in zip(positions, keys, contents, strict=True):
            if sample_digest(content, source.read(position, "label.png")) != digests.get(key):
                raise UserError(f"{key} in {source.folder} was altered; run: dvc repro -f shards")
        image = to_unit_range(torch.from_numpy(np.stack([png_pixels(c) for c in contents])))
        image = image.to(autoencoder.device)
        moments = encode_moments(autoencoder, image).half().cpu().numpy()
        mirrored = encode_moments(autoencoder, image.flip(3)).half().cpu().numpy()
        for number, key in enumerate(keys):
            yield (
                key,
                {
                    "moments.npy": array_bytes(moments[number]),
                    "mirrored.npy": array_bytes(mirrored[number]),
                },
            )


def write_mask_latents(pixels: Path, mask_noise: str, out: Path) -> None:
    """What training needs of the masks ahead of time: nothing, where they are encoded online.

    Args:
        pixels: holds a folder of pixel shards for each split.
        mask_noise: the mode; in "online" every pseudo-mask is perturbed and encoded anew at each
            step (Eq. 14), so the shards stay empty.
        out: receives a manifest for each split.
    """
    with whole_folder(out) as folder:
        for source in sorted(pixels.iterdir()):
            (folder / source.name).mkdir()
            about = {"mask_noise": mask_noise, "split": source.name}
            write_manifest(Manifest(folder / source.name, (), about))
