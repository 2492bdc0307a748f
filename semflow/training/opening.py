"""Opening the train split's shards: every tar is checked before anything is learned from it."""

from __future__ import annotations

from pathlib import Path

from semflow.errors import UserError
from semflow.palette import Palette
from semflow.shards.index import class_table
from semflow.shards.manifest import Manifest, read_manifest, same_keys, verify_shards
from semflow.shards.tar import ShardFolder
from semflow.training.masks import Masks, MomentMasks, OnlineMasks, VariantMasks
from semflow.training.samples import TrainingSamples

SPLIT = "train"


def open_training_samples(
    dataset: str, seed: int, pixels: Path, latents: Path, masks: Masks
) -> TrainingSamples:
    """The train split with its image latents.

    Args:
        dataset: its name, for the commands in errors.
        seed: of order and draws.
        pixels: pixel shards, a folder for each split.
        latents: image latent shards of the same samples.
        masks: where the mask end of a sample comes from.

    Raises:
        UserError: naming the bad tar and the command that rebuilds it.
    """
    rebuild = f"dvc repro -f shards@{dataset}"
    pixel_manifest = read_manifest(pixels / SPLIT)
    verify_shards(pixel_manifest, rebuild)
    latent_manifest = _same_samples(dataset, "image_latents", pixel_manifest, latents)
    classes = class_table(pixel_manifest.about["classes"])
    return TrainingSamples(
        ShardFolder(pixel_manifest), ShardFolder(latent_manifest), masks, classes.mirrored, seed
    )


def open_masks(dataset: str, palette: Palette, pixels: Path, mask_latents: Path) -> Masks:
    """Where mask ends come from, as the mask latents' manifest says.

    Args:
        dataset: its name, for the commands in errors.
        palette: colours and perturbs labels where masks are encoded online.
        pixels: pixel shards, a folder for each split.
        mask_latents: mask latent shards.

    Raises:
        UserError: naming the bad tar and the command that rebuilds it.
    """
    about = read_manifest(mask_latents / SPLIT).about
    if about["mask_noise"] == "online":
        return OnlineMasks(palette)
    manifest = _same_samples(dataset, "mask_latents", read_manifest(pixels / SPLIT), mask_latents)
    folder = ShardFolder(manifest)
    if about["mask_noise"] == "variants":
        return VariantMasks(folder, about["draws"])
    return MomentMasks(folder)


def _same_samples(dataset: str, stage: str, pixels: Manifest, latents: Path) -> Manifest:
    rebuild = f"dvc repro -f {stage}@{dataset}"
    manifest = read_manifest(latents / SPLIT)
    verify_shards(manifest, rebuild)
    if not same_keys(pixels, manifest):
        others = pixels.folder.parent
        raise UserError(f"{latents} holds other samples than {others}; run: {rebuild}")
    return manifest
