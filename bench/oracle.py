"""How much of images and pseudo-masks an autoencoder keeps, on the val split.

    python bench/oracle.py data/shards/earth pretrained/earth-autoencoder
    python bench/oracle.py data/shards/earth pca:16 pca:24 pca:32

Prints the PSNR of images, and the oracle mIoU (true pseudo-masks, encoded, decoded, nearest anchor)
for the paper's palette (k = 6, s = 50) and the spread one. `pca:C` is the closed-form linear patch
autoencoder with C channels that training starts from.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

from semflow.core.labels import class_table
from semflow.metrics.confusion import ConfusionMatrix
from semflow.networks.anchors import nearest_anchor
from semflow.networks.encoding import Autoencoder, decode, encode, to_unit_range
from semflow.networks.schema import ScratchAutoencoder
from semflow.networks.sources import load_autoencoder
from semflow.pretraining.autoencoder import train_autoencoder
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.pseudo_masks.schema import BaseKPalette, SpreadPalette
from semflow.schema import read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, batches, png_pixels

PALETTES = {
    "k=6, s=50": BaseKPalette(
        scheme="base_k",
        class_order=(),
        k=6,
        spacing=50,
        amplitude=6,
        ignore_color=(255, 255, 255),
    ),
    "spread": SpreadPalette(
        scheme="spread", class_order=(), amplitude=6, ignore_color=(64, 64, 64)
    ),
}


def main() -> None:
    """One line for each autoencoder named on the command line."""
    pixels = Path(sys.argv[1])
    manifest = read_manifest(pixels / "val")
    num_classes = len(class_table(manifest.about["classes"]).names)
    for name in sys.argv[2:]:
        autoencoder = _open(name, pixels)
        folder = ShardFolder(manifest)
        figures = [f"PSNR {_psnr(autoencoder, folder):.2f} dB"]
        for label, params in PALETTES.items():
            confusion = _oracle(autoencoder, folder, make_palette(params, num_classes))
            figures.append(
                f"{label}: mIoU {confusion.miou:.4f}, accuracy {confusion.pixel_accuracy:.4f}"
            )
        print(f"{name}: {'; '.join(figures)}", flush=True)


def _open(name: str, pixels: Path) -> Autoencoder:
    if not name.startswith("pca:"):
        return load_autoencoder(Path(name))
    scratch = ScratchAutoencoder.model_validate(
        {
            **read_params().recipes["train-autoencoder"]["earth"]["autoencoder"],
            "latent_channels": int(name.removeprefix("pca:")),
            "steps": 0,
        }
    )
    return train_autoencoder("bench", scratch, pixels)


@torch.no_grad()
def _psnr(autoencoder: Autoencoder, folder: ShardFolder) -> float:
    total, count = 0.0, 0
    for positions in batches(folder, 64):
        image = to_unit_range(_stack(folder, positions, "image.png"))
        decoded = decode(autoencoder, encode(autoencoder, image)).clamp(-1, 1)
        total += float((decoded - image).square().sum())
        count += image.numel()
    return 10 * math.log10(4 * count / total)


@torch.no_grad()
def _oracle(autoencoder: Autoencoder, folder: ShardFolder, palette: Palette) -> ConfusionMatrix:
    confusion = ConfusionMatrix(palette.num_classes)
    for positions in batches(folder, 64):
        label = _stack(folder, positions, "label.png")
        mask = to_unit_range(torch.from_numpy(palette.colorize(label.numpy())))
        decoded = decode(autoencoder, encode(autoencoder, mask))
        confusion.update(nearest_anchor(decoded, palette.anchor_tensor()), label)
    return confusion


def _stack(folder: ShardFolder, positions: range, member: str) -> torch.Tensor:
    pixels = [torch.from_numpy(png_pixels(folder.read(i, member)).copy()) for i in positions]
    return torch.stack(pixels)


if __name__ == "__main__":
    main()
