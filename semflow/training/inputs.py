"""Opening the train split's shards: every tar is checked before anything is learned from it.

The processes that train together share the tars among them: each is read for that once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object

from semflow.core.errors import UserError
from semflow.core.labels import ClassTable, class_table
from semflow.core.progress import progress_over
from semflow.pseudo_masks.coloring import palette_of
from semflow.pseudo_masks.noise import Noise
from semflow.shards.manifest import Manifest, read_manifest, same_keys, verify_shards
from semflow.shards.reading import ShardFolder
from semflow.training.samples import MaskSource, MomentMasks, OnlineMasks, VariantMasks

SPLIT = "train"


@dataclass(frozen=True)
class ModelInputs:
    """What any model of a data set is trained from.

    Args:
        dataset: Its name, for logs and for the commands in errors.
        pixels: Pixel shards, a folder for each split.
        image_latents: Latents of the same samples.
        autoencoder: Folder of the autoencoder that made them.
        backbone: Folder with `unet/` and `null_prompt/`.
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


@dataclass(frozen=True)
class FlowInputs(ModelInputs):
    """What the flow is trained from.

    Args:
        pseudo_masks: Pseudo-mask shards of the same samples.
        mask_latents: Mask latent shards of the same samples; empty where masks are encoded online.
    """

    pseudo_masks: Path
    mask_latents: Path

    def folders(self) -> list[Path]:
        """All of them."""
        return [*super().folders(), self.pseudo_masks, self.mask_latents]


def open_split(dataset: str, stage: str, folder: Path, accelerator: Accelerator) -> Manifest:
    """The train split of a stage's output, every tar compared with its checksum.

    Args:
        dataset: Its name, for the command in errors.
        stage: Name of the stage that made the folder.
        folder: Holds a folder for each split.
        accelerator: The processes that train together; all of them see the folder.

    Raises:
        UserError: The first bad tar and the command that rebuilds it; on all processes.
    """
    manifest = read_manifest(folder / SPLIT)
    share = range(accelerator.process_index, manifest.tars, accelerator.num_processes)
    bad = first_bad(manifest, share, stage, f"dvc repro -f {stage}@{dataset}")
    found = [one for one in gather_object([bad]) if one is not None]
    if found:
        _number, said = min(found)
        raise UserError(said)
    return manifest


def first_bad(manifest: Manifest, share: range, stage: str, rebuild: str) -> tuple[int, str] | None:
    """Number of the first tar of some that is not as its manifest says, and what is said of it.

    Args:
        manifest: Of the folder.
        share: Numbers of the tars, ascending.
        stage: Name of the stage that made the folder.
        rebuild: The command that makes the folder anew.
    """
    for number in progress_over(share, len(share), f"check {stage}", "shards", stays=False):
        try:
            verify_shards(manifest.only(number), rebuild)
        except UserError as error:
            return number, str(error)
    return None


def open_latents(
    dataset: str, stage: str, folder: Path, labels: Manifest, accelerator: Accelerator
) -> ShardFolder:
    """The train split of a stage that encodes, which must hold the samples of the labels.

    Args:
        dataset: Its name, for the command in errors.
        stage: Name of the stage that made the folder.
        folder: Holds a folder for each split.
        labels: Shards with the labels of the same samples.
        accelerator: The processes that train together.

    Raises:
        UserError: A bad tar, or other samples; and the command that rebuilds the folder.
    """
    manifest = open_split(dataset, stage, folder, accelerator)
    if not same_keys(labels, manifest):
        rebuild = f"dvc repro -f {stage}@{dataset}"
        raise UserError(f"{folder} holds other samples than {labels.folder.parent}; run: {rebuild}")
    return ShardFolder(manifest)


def open_masks(
    inputs: FlowInputs, pseudo_masks: Manifest, noise: Noise, accelerator: Accelerator
) -> MaskSource:
    """Where mask ends come from, as the mask latents' manifest says.

    Args:
        inputs: The flow's.
        pseudo_masks: The opened train split of the pseudo-masks.
        noise: Perturbs pseudo-masks where they are encoded online.
        accelerator: The processes that train together.

    Raises:
        UserError: The bad tar and the command that rebuilds it.
    """
    about = read_manifest(inputs.mask_latents / SPLIT).about
    if about["mask_noise"] == "online":
        return OnlineMasks(palette_of(pseudo_masks).color_table(), noise)
    latents = open_latents(
        inputs.dataset, "mask_latents", inputs.mask_latents, pseudo_masks, accelerator
    )
    if about["mask_noise"] == "variants":
        return VariantMasks(latents, about["draws"])
    return MomentMasks(latents)
