"""Both baselines of a data set, fitted to the samples that the flow sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semflow.baselines.color_classifier import fit_color_classifier, save_color_classifier
from semflow.baselines.unet import train_segmenter
from semflow.files import whole_folder, write_json
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.params import DatasetParams
from semflow.params.learning import Train
from semflow.provenance import PROVENANCE
from semflow.shards.manifest import read_manifest
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import (
    new_accelerator,
    training_provenance,
    working_folder,
)
from semflow.training.masks import NoMasks
from semflow.training.opening import open_training_samples

PARAMETERS: dict[str, Any] = {
    "baseline": True,
    "shards": {"image_size"},
    "train": set(Train.model_fields) - {"learning_rate"},
}
"""What the stage reads of a data set's block; dvc.yaml declares the same."""


def train_baselines(
    dataset: str,
    params: DatasetParams,
    pixels: Path,
    latents: Path,
    autoencoder_folder: Path,
    backbone: Path,
    out: Path,
) -> None:
    """Fits and saves both.

    Args:
        dataset: its name, for logs and for the commands in errors.
        params: the data set's block.
        pixels: pixel shards, a folder for each split.
        latents: image latent shards of the same samples.
        autoencoder_folder: the autoencoder that made them.
        backbone: folder with `unet/` and `null_prompt/`.
        out: receives `color_classifier.safetensors` and `unet/`, whole or not at all.
    """
    accelerator = new_accelerator(params.train)
    samples = open_training_samples(dataset, params.train.seed, pixels, latents, NoMasks())
    autoencoder = load_autoencoder(autoencoder_folder)
    provenance = training_provenance(
        params.model_dump(mode="json", include=PARAMETERS),
        [pixels, latents, autoencoder_folder, backbone],
        accelerator,
    )
    with working_folder("baseline", dataset, provenance, accelerator) as scratch:
        unet = train_segmenter(
            dataset,
            params,
            samples,
            autoencoder,
            load_unet(backbone / "unet"),
            load_null_prompt(backbone / "null_prompt"),
            accelerator,
            Checkpoints(scratch, "baseline"),
        )
        if accelerator.is_main_process:
            classifier = fit_color_classifier(read_manifest(pixels / "train"))
            with whole_folder(out) as folder:
                save_color_classifier(classifier, folder / "color_classifier.safetensors")
                unet.save_pretrained(folder / "unet")
                write_json(folder / PROVENANCE, provenance.as_json())
