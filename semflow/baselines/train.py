"""Both baselines of a data set, fitted to the samples that the flow sees."""

from __future__ import annotations

from pathlib import Path

from semflow.baselines.color_classifier import fit_color_classifier, save_color_classifier
from semflow.baselines.unet import train_segmenter
from semflow.files import whole_folder
from semflow.networks.sources import load_autoencoder, load_null_prompt, load_unet
from semflow.params import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.training.flow import open_training_samples


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
    samples = open_training_samples(dataset, params, pixels, latents)
    with whole_folder(out) as folder:
        classifier = fit_color_classifier(read_manifest(pixels / "train"))
        save_color_classifier(classifier, folder / "color_classifier.safetensors")
        unet = train_segmenter(
            dataset,
            params,
            samples,
            load_autoencoder(autoencoder_folder),
            load_unet(backbone / "unet"),
            load_null_prompt(backbone / "null_prompt"),
        )
        unet.save_pretrained(folder / "unet")
