"""How much of images and pseudo-masks an autoencoder keeps, on the val split.

    python -m bench.oracle data/shards/earth pretrained/earth-autoencoder
    python -m bench.oracle data/shards/earth pca:16 pca:24 pca:32

Prints the PSNR of images, and the oracle mIoU (true pseudo-masks, encoded, decoded, nearest anchor)
for the paper's palette (k = 6, s = 50) and the spread one. `pca:C` is the closed-form linear patch
autoencoder with C channels that the recipe train-autoencoder starts from.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from semflow.core.labels import class_table
from semflow.metrics.confusion import ConfusionMatrix
from semflow.networks.anchors import nearest_anchor, unit_range_anchors
from semflow.networks.encoding import Autoencoder, decode, encode, to_unit_range
from semflow.networks.schema import ScratchAutoencoder
from semflow.networks.sources import load_autoencoder
from semflow.params.recipes import read_recipe
from semflow.pretraining.autoencoder import train_autoencoder
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.pseudo_masks.schema import BaseKPalette, SpreadPalette
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder, batches
from semflow.shards.tar import png_pixels

BATCH_SIZE = 64
PCA = "pca:"
PALETTES: dict[str, BaseKPalette | SpreadPalette] = {
    "k=6, s=50": BaseKPalette(
        scheme="base_k", k=6, spacing=50, class_order=(), ignore_color=(255, 255, 255)
    ),
    "spread": SpreadPalette(scheme="spread", class_order=(), ignore_color=(64, 64, 64)),
}


def main() -> None:
    """Prints a line for each autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path, help="pixel shards of a data set")
    parser.add_argument("autoencoders", nargs="+", help="a folder, or pca:CHANNELS")
    options = parser.parse_args()
    for name in options.autoencoders:
        print(f"{name}: {line(open_autoencoder(name, options.shards), options.shards)}", flush=True)


def open_autoencoder(name: str, shards: Path) -> Autoencoder:
    """A saved autoencoder, or the closed-form one fitted to the train split.

    Args:
        name: Its folder, or `pca:` and the number of channels.
        shards: Pixel shards of a data set.
    """
    if not name.startswith(PCA):
        return load_autoencoder(Path(name))
    recipe = read_recipe("train-autoencoder", "earth")["autoencoder"]
    changes = {"latent_channels": int(name.removeprefix(PCA)), "steps": 0}
    with tempfile.TemporaryDirectory() as scratch:
        return train_autoencoder(
            "bench", ScratchAutoencoder.model_validate({**recipe, **changes}), shards, Path(scratch)
        )


def line(autoencoder: Autoencoder, shards: Path) -> str:
    """What is printed of one autoencoder."""
    manifest = read_manifest(shards / "val")
    num_classes = len(class_table(manifest.about["classes"]).names)
    folder = ShardFolder(manifest)
    figures = [f"PSNR {psnr(autoencoder, folder):.2f} dB"]
    for name, params in PALETTES.items():
        found = oracle(autoencoder, folder, make_palette(params, num_classes))
        figures.append(f"{name}: mIoU {found.miou:.4f}, accuracy {found.pixel_accuracy:.4f}")
    return "; ".join(figures)


@torch.no_grad()
def psnr(autoencoder: Autoencoder, folder: ShardFolder) -> float:
    """Peak signal to noise of decoded images, dB, from the mean squared error of all pixels."""
    total, count = 0.0, 0
    for positions in batches(folder, BATCH_SIZE):
        image = to_unit_range(_stack(folder, positions, "image.png"))
        decoded = decode(autoencoder, encode(autoencoder, image)).clamp(-1, 1)
        total += float((decoded - image).square().sum())
        count += image.numel()
    # The peak is 2, the width of [-1, 1]; nothing lost at all would be infinite.
    return 10 * math.log10(4 * count / max(total, 1e-12))


@torch.no_grad()
def oracle(autoencoder: Autoencoder, folder: ShardFolder, palette: Palette) -> ConfusionMatrix:
    """True labels against their own pseudo-masks, encoded, decoded and read."""
    confusion = ConfusionMatrix(palette.num_classes)
    anchors = unit_range_anchors(palette.anchors)
    for positions in batches(folder, BATCH_SIZE):
        label = _stack(folder, positions, "label.png")
        mask = to_unit_range(torch.from_numpy(palette.colorize(label.numpy())))
        decoded = decode(autoencoder, encode(autoencoder, mask))
        confusion.update(nearest_anchor(decoded, anchors), label)
    return confusion


def _stack(folder: ShardFolder, positions: range, member: str) -> Tensor:
    pixels = [torch.from_numpy(png_pixels(folder.read(i, member)).copy()) for i in positions]
    return torch.stack(pixels)


if __name__ == "__main__":
    main()
