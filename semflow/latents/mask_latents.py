"""Mask latent shards: what training needs of Eq. 14's random masks ahead of time, by noise mode.

A cached latent freezes noise that Eq. 14 draws anew for every sample and step. "online" therefore
stores nothing; "variants" stores a few draws; "moments" stores the mean and the standard deviation
of the encoder's answer to the noise, from which training draws anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from semflow.core.files import whole_folder
from semflow.core.labels import class_table, mirror
from semflow.latents.encoding import encoding_scratch
from semflow.latents.schema import LatentParams
from semflow.networks.encoding import Autoencoder, encode, to_unit_range
from semflow.networks.sources import load_autoencoder
from semflow.pseudo_masks.noise import draw_noise, perturb
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.pseudo_masks.schema import PaletteParams
from semflow.shards.manifest import Manifest, read_manifest, verify_shards, write_manifest
from semflow.shards.tar import ShardFolder, array_bytes, png_pixels
from semflow.shards.writing import Ranks, Record, complete_shards, publish_shards

STAGE = "mask_latents"
SPLIT = "train"
"""No other split's masks are ever perturbed ahead of time."""


@dataclass(frozen=True)
class MaskWork:
    """What is encoded, and by what.

    Args:
        dataset: its name, for the commands in errors.
        pixels: pixel shards of the split.
        autoencoder: encodes the perturbed pseudo-masks, on its own device.
        palette: colours them.
        params: mode, number of draws and seed.
    """

    dataset: str
    pixels: Manifest
    autoencoder: Autoencoder
    palette: Palette
    params: LatentParams


def encode_masks(
    dataset: str,
    params: LatentParams,
    palette_params: PaletteParams,
    pixels: Path,
    autoencoder: Path,
    out: Path,
) -> None:
    """Fills `<out>/train` by the noise mode; a killed run goes on where it was.

    Args:
        dataset: its name.
        params: mode, number of draws and seed.
        palette_params: of the palette whose amplitude and grain hold.
        pixels: holds a folder of pixel shards for each split.
        autoencoder: folder of the autoencoder.
        out: receives a folder with a manifest, and in the modes other than "online" with tars.

    Raises:
        UserError: a pixel shard is damaged, or another run is at work.
    """
    if params.mask_noise == "online":
        with whole_folder(out) as folder:
            (folder / SPLIT).mkdir()
            write_manifest(folder / SPLIT, _about(params), ())
        return
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    source = read_manifest(pixels / SPLIT)
    verify_shards(source, f"dvc repro -f shards@{dataset}")
    palette = make_palette(palette_params, len(class_table(source.about["classes"]).names))
    network = load_autoencoder(autoencoder).to(accelerator.device)
    work = MaskWork(dataset, source, network, palette, params)
    parameters = {"latents": params.model_dump(), "palette": palette_params.model_dump(mode="json")}
    inputs = [pixels / SPLIT, autoencoder]
    with encoding_scratch(STAGE, dataset, parameters, inputs, accelerator) as scratch:
        write_mask_latents(work, scratch, out, accelerator)


def write_mask_latents(work: MaskWork, scratch: Path, out: Path, ranks: Ranks) -> None:
    """Encodes the draws of every sample, shard by shard.

    Args:
        work: what to encode.
        scratch: the stage's folder, held by the main process.
        out: receives the split's folder, whole or not at all. Members in mode "variants":
            `plain<k>.npy` and `mirrored<k>.npy`, (C, h, w) float16; in mode "moments": `plain.npy`
            and `mirrored.npy`, (2, C, h, w) float16, mean and standard deviation.
        ranks: the processes that do so together.
    """
    counts = {SPLIT: work.pixels.tars}

    def records(_split: str, number: int) -> Iterator[Record]:
        """Of one shard."""
        return _records(work, ShardFolder(work.pixels.only(number)))

    complete_shards(scratch, STAGE, counts, records, ranks)
    if ranks.is_main_process:
        publish_shards(scratch, counts, {SPLIT: _about(work.params)}, out)


def each_draw(name: str, draws: NDArray[np.float32]) -> Mapping[str, NDArray[np.float16]]:
    """Mode "variants": each of the draws (K, C, h, w) as `<name><k>.npy`."""
    return {f"{name}{k}.npy": draw.astype(np.float16) for k, draw in enumerate(draws)}


def mean_and_deviation(name: str, draws: NDArray[np.float32]) -> Mapping[str, NDArray[np.float16]]:
    """Mode "moments": mean and unbiased standard deviation, (2, C, h, w), as `<name>.npy`."""
    moments = np.stack([draws.mean(axis=0), draws.std(axis=0, ddof=1)])
    return {f"{name}.npy": moments.astype(np.float16)}


def _records(work: MaskWork, folder: ShardFolder) -> Iterator[Record]:
    stored = {"variants": each_draw, "moments": mean_and_deviation}[work.params.mask_noise]
    mirrored = class_table(work.pixels.about["classes"]).mirrored
    for position in range(len(folder)):
        key = folder.key(position)
        label = png_pixels(folder.read(position, "label.png"))
        plain, flipped = noise_items(key, work.params.mask_draws)
        contents = {
            **stored("plain", _encoded_draws(work, label, plain)),
            **stored("mirrored", _encoded_draws(work, mirror(label, mirrored), flipped)),
        }
        yield key, {name: array_bytes(array) for name, array in contents.items()}


def noise_items(key: str, draws: int) -> tuple[range, range]:
    """What the draws of a sample's plain and mirrored mask are numbered by in `draw_noise`.

    They follow from the key alone, so neither order nor size of the shards changes the noise.
    """
    first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) * 2 * draws
    return range(first, first + draws), range(first + draws, first + 2 * draws)


@torch.no_grad()
def _encoded_draws(work: MaskWork, label: NDArray[np.uint8], items: range) -> NDArray[np.float32]:
    """LatentParams (K, C, h, w) of one label under the noise of the given items."""
    pixels = torch.from_numpy(work.palette.colorize(label))[None]
    noise = draw_noise(items, label.shape, work.params.seed, work.palette.grain)
    mask = perturb(to_unit_range(pixels), noise, work.palette.amplitude)
    latents = encode(work.autoencoder, mask.to(work.autoencoder.device))
    array: NDArray[np.float32] = latents.float().cpu().numpy()
    return array


def _about(params: LatentParams) -> dict[str, object]:
    return {"mask_noise": params.mask_noise, "draws": params.mask_draws, "split": SPLIT}
