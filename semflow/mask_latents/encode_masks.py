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
from semflow.core.resume import Ranks, resumable
from semflow.mask_latents.schema import LatentParams, MaskLatentsStage
from semflow.networks.encoding import Autoencoder, encode, encoding_hardware, to_unit_range
from semflow.networks.sources import load_autoencoder
from semflow.networks.vae_memory import fit_autoencoder
from semflow.pseudo_masks.coloring import MEMBER, palette_of, read_pseudo_mask
from semflow.pseudo_masks.noise import Noise, draw_noise, perturb
from semflow.shards.manifest import Manifest, read_manifest, verify_shards, write_manifest
from semflow.shards.reading import stream
from semflow.shards.tar import Record, array_bytes
from semflow.shards.writing import complete_shards, publish_shards

STAGE = "mask_latents"
SPLIT = "train"
"""No other split's masks are ever perturbed ahead of time."""


@dataclass(frozen=True)
class MaskWork:
    """What is encoded, and by what.

    Args:
        dataset: Its name, for the commands in errors.
        source: Pseudo-mask shards of the split.
        autoencoder: Encodes the perturbed pseudo-masks, on its own device.
        noise: Perturbs them.
        params: Mode, number of draws and seed.
    """

    dataset: str
    source: Manifest
    autoencoder: Autoencoder
    noise: Noise
    params: LatentParams


def encode_masks(
    dataset: str, params: MaskLatentsStage, pseudo_masks: Path, autoencoder: Path, out: Path
) -> None:
    """Fills `<out>/train` by the noise mode; a killed run goes on where it was.

    Args:
        dataset: Its name.
        params: Mode, number of draws, seed and noise.
        pseudo_masks: Holds a folder of pseudo-mask shards for each split.
        autoencoder: Folder of the autoencoder.
        out: Receives a folder with a manifest, and in the modes other than "online" with tars.

    Raises:
        UserError: A shard is damaged, another run is at work, or the noise changes classes.
    """
    source = read_manifest(pseudo_masks / SPLIT)
    noise = Noise.checked(params.noise, palette_of(source).anchors)
    if params.latents.mask_noise == "online":
        with whole_folder(out) as folder:
            (folder / SPLIT).mkdir()
            write_manifest(folder / SPLIT, _about(params.latents), ())
        return
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    network = load_autoencoder(autoencoder).to(accelerator.device)
    mask_work = MaskWork(dataset, source, network, noise, params.latents)
    parameters, inputs = params.model_dump(mode="json"), [pseudo_masks / SPLIT, autoencoder]
    hardware = encoding_hardware(accelerator) | fit_autoencoder(network)
    with resumable(STAGE, dataset, parameters, inputs, accelerator, hardware) as work:
        write_mask_latents(mask_work, work.folder, out, accelerator)


def write_mask_latents(work: MaskWork, scratch: Path, out: Path, ranks: Ranks) -> None:
    """Encodes the draws of every sample, shard by shard.

    Args:
        work: What to encode.
        scratch: The run's folder, held by the main process.
        out: Receives the split's folder, whole or not at all. Members in mode "variants":
            `plain<k>.npy` and `mirrored<k>.npy`, (C, h, w) float16; in mode "moments": `plain.npy`
            and `mirrored.npy`, (2, C, h, w) float16, mean and standard deviation.
        ranks: The processes that do so together.
    """

    def records(_split: str, number: int) -> Iterator[Record]:
        """Of one shard."""
        source = work.source.only(number)
        verify_shards(source, f"dvc repro -f pseudo_masks@{work.dataset}")
        return _records(work, source)

    complete_shards(scratch, STAGE, {SPLIT: work.source.sizes()}, records, ranks)
    if ranks.is_main_process:
        publish_shards(scratch, {SPLIT: work.source.tars}, {SPLIT: _about(work.params)}, out)


def each_draw(name: str, draws: NDArray[np.float32]) -> Mapping[str, NDArray[np.float16]]:
    """Mode "variants": each of the draws (K, C, h, w) as `<name><k>.npy`."""
    return {f"{name}{k}.npy": draw.astype(np.float16) for k, draw in enumerate(draws)}


def mean_and_deviation(name: str, draws: NDArray[np.float32]) -> Mapping[str, NDArray[np.float16]]:
    """Mode "moments": mean and unbiased standard deviation, (2, C, h, w), as `<name>.npy`."""
    moments = np.stack([draws.mean(axis=0), draws.std(axis=0, ddof=1)])
    return {f"{name}.npy": moments.astype(np.float16)}


def _records(work: MaskWork, source: Manifest) -> Iterator[Record]:
    stored = {"variants": each_draw, "moments": mean_and_deviation}[work.params.mask_noise]
    mirrored = class_table(source.about["classes"]).mirrored
    for key, members in stream(source):
        label, colors = read_pseudo_mask(members[MEMBER])
        plain, flipped = noise_items(key, work.params.mask_draws)
        contents = {
            **stored("plain", _encoded_draws(work, colors[label], plain)),
            **stored("mirrored", _encoded_draws(work, colors[mirror(label, mirrored)], flipped)),
        }
        yield key, {name: array_bytes(array) for name, array in contents.items()}


def noise_items(key: str, draws: int) -> tuple[range, range]:
    """What the draws of a sample's plain and mirrored mask are numbered by in `draw_noise`.

    They follow from the key alone, so neither order nor size of the shards changes the noise.
    """
    first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) * 2 * draws
    return range(first, first + draws), range(first + draws, first + 2 * draws)


@torch.no_grad()
def _encoded_draws(
    work: MaskWork, pseudo_mask: NDArray[np.uint8], items: range
) -> NDArray[np.float32]:
    """Latents (K, C, h, w) of one pseudo-mask (H, W, 3) under the noise of the given items."""
    pixels = to_unit_range(torch.from_numpy(pseudo_mask)[None])
    noise = draw_noise(items, pseudo_mask.shape[:2], work.params.seed, work.noise)
    mask = perturb(pixels, noise, work.noise.amplitude)
    latents = encode(work.autoencoder, mask.to(work.autoencoder.device))
    array: NDArray[np.float32] = latents.float().cpu().numpy()
    return array


def _about(params: LatentParams) -> dict[str, object]:
    return {"mask_noise": params.mask_noise, "draws": params.mask_draws, "split": SPLIT}
