"""Opening the train split's shards: every tar is checked before anything is learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semflow.core.errors import UserError
from semflow.core.labels import ClassTable, class_table
from semflow.pseudo_masks.palette import Palette
from semflow.shards.manifest import Manifest, read_manifest, same_keys, verify_shards
from semflow.shards.tar import ShardFolder
from semflow.training.masks import Masks, MomentMasks, OnlineMasks, VariantMasks
from semflow.training.samples import TrainingSamples

SPLIT = "train"


@dataclass(frozen=True)
class TrainingInputs:
    """What a model is trained from.

    Args:
        dataset: its name, for logs and for the commands in errors.
        pixels: pixel shards, a folder for each split.
        image_latents: of the same samples.
        autoencoder: folder of the one that made them.
        backbone: folder with `unet/` and `null_prompt/`.
    """

    dataset: str
    pixels: Path
    image_latents: Path
    autoencoder: Path
    backbone: Path

    def folders(self) -> list[Path]:
        """All of them."""
        return [self.pixels, self.image_latents, self.autoencoder, self.backbone]

    def classes(self) -> ClassTable:
        """The data set's classes."""
        return class_table(read_manifest(self.pixels / SPLIT).about["classes"])


def open_training_samples(inputs: TrainingInputs, seed: int, masks: Masks) -> TrainingSamples:
    """The train split with its image latents.

    Args:
        inputs: shards and latents.
        seed: of order and draws.
        masks: where the mask end of a sample comes from.

    Raises:
        UserError: naming the bad tar and the command that rebuilds it.
    """
    pixels = read_manifest(inputs.pixels / SPLIT)
    verify_shards(pixels, f"dvc repro -f shards@{inputs.dataset}")
    latents = _same_samples(inputs.dataset, "image_latents", pixels, inputs.image_latents)
    mirrored = inputs.classes().mirrored
    return TrainingSamples(ShardFolder(pixels), ShardFolder(latents), masks, mirrored, seed)


def open_masks(inputs: TrainingInputs, mask_latents: Path, palette: Palette) -> Masks:
    """Where mask ends come from, as the mask latents' manifest says.

    Args:
        inputs: shards of the same samples.
        mask_latents: mask latent shards.
        palette: colours and perturbs labels where masks are encoded online.

    Raises:
        UserError: naming the bad tar and the command that rebuilds it.
    """
    about = read_manifest(mask_latents / SPLIT).about
    if about["mask_noise"] == "online":
        return OnlineMasks(palette)
    pixels = read_manifest(inputs.pixels / SPLIT)
    manifest = _same_samples(inputs.dataset, "mask_latents", pixels, mask_latents)
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
