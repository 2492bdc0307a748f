"""How far a data set's classes can be told apart: its two baselines on val.

    python -m bench.baselines earth    # in a workspace where `dvc repro baseline@earth` has run

What can be seen is what a discriminative network of the flow's size finds, and the colour
classifier before it; where both confuse two classes, no palette and no loss of the flow helps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from bench import figure
from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.unet import load_segmenter
from semflow.core.labels import class_table
from semflow.metrics.confusion import ConfusionMatrix
from semflow.networks.sources import load_autoencoder
from semflow.shards.manifest import Manifest, read_manifest
from semflow.shards.reading import stream
from semflow.shards.tar import png_pixels
from stages.entry import Folders

Score = Callable[[Tensor], Tensor]
"""Pixels (1, H, W, 3) uint8 -> scores (1, K, H, W)."""


def main() -> None:
    """Prints mIoU, and for each class its share, its IoU and what it is taken for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    folders = Folders(parser.parse_args().dataset)
    classifier = load_color_classifier(folders.baseline / "color_classifier.safetensors")
    autoencoder = load_autoencoder(folders.autoencoder)
    unet = load_segmenter(folders.baseline, autoencoder.config.scaling_factor)
    systems: dict[str, Score] = {
        f"colour classifier, blur {classifier.blur:g}": classifier.score_batch,
        "U-Net": lambda pixels: unet.score_batch(autoencoder, pixels),
    }
    manifest = read_manifest(folders.shards / "val")
    names = class_table(manifest.about["classes"]).names
    for system, score in systems.items():
        confusion = confusion_of(score, manifest, len(names))
        print(f"{system}: mIoU {figure(confusion.miou, 3)}", flush=True)
        print("\n".join(f"  {line}" for line in lines_of(confusion, names)), flush=True)


def confusion_of(score: Score, manifest: Manifest, num_classes: int) -> ConfusionMatrix:
    """Every pixel of a split, at the size of training."""
    confusion = ConfusionMatrix(num_classes)
    for _, members in stream(manifest):
        image = torch.tensor(png_pixels(members["image.png"]))[None]
        label = torch.tensor(png_pixels(members["label.png"]))[None]
        confusion.update(score(image).argmax(dim=1), label)
    return confusion


def lines_of(confusion: ConfusionMatrix, names: tuple[str, ...]) -> list[str]:
    """Of each class its share of the pixels, its IoU, and percentages of what it is taken for."""
    counts = confusion.counts[:, : len(names)].double()
    shares = counts.sum(dim=1) / counts.sum()
    taken = 100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    found = zip(names, shares.tolist(), confusion.iou_per_class.tolist(), taken, strict=True)
    return [
        f"{name}: share {figure(share, 3)}, IoU {figure(iou, 3)}, "
        f"as {' '.join(f'{percent:.0f}' for percent in row.tolist())}"
        for name, share, iou, row in found
    ]


if __name__ == "__main__":
    main()
