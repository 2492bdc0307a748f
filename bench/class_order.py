"""Which class should get which colour of a palette, by the confusions of the colour classifier.

    python bench/class_order.py data/shards/earth [base_k|spread]

Where an image leaves doubt, squared error teaches the mean of the possible classes' colours, and
the nearest anchor of that mean may be a third class. This replays just that on real pixels of the
train split: posterior probabilities by colour, their mean colour, its nearest anchor; and searches
the order of classes with the best mIoU by pairwise swaps from several starts.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.baselines.color_classifier import fit_color_classifier
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pseudo_masks.palette import base_k_anchors, spread_anchors
from semflow.shards.manifest import Manifest, read_manifest
from semflow.shards.tar import ShardFolder, png_pixels

TILES, STARTS = 60, 4


def main() -> None:
    """Prints the mIoU of the identity and of the best order found."""
    pixels = Path(sys.argv[1])
    scheme = sys.argv[2] if len(sys.argv) > 2 else "spread"
    manifest = read_manifest(pixels / "train")
    posterior, label = _posteriors(manifest)
    num_classes = posterior.shape[1]
    anchors = spread_anchors(num_classes)
    if scheme == "base_k":
        anchors = base_k_anchors(num_classes, k=6, spacing=50)
    generator = np.random.default_rng(0)
    starts = [np.arange(num_classes)]
    starts += [generator.permutation(num_classes) for _ in range(STARTS - 1)]
    print(f"{scheme}: identity {_score(posterior, label, anchors):.4f}", flush=True)
    results = [_improve(start, posterior, label, anchors) for start in starts]
    score, order = max(results, key=lambda result: result[0])
    print(f"{scheme}: best {score:.4f} with class_order: {order.tolist()}")


def _posteriors(manifest: Manifest) -> tuple[Tensor, Tensor]:
    classifier = fit_color_classifier(manifest)
    folder = ShardFolder(manifest)
    chosen = np.linspace(0, len(folder) - 1, TILES).astype(int)
    image = np.stack([png_pixels(folder.read(int(i), "image.png")) for i in chosen])
    label = np.stack([png_pixels(folder.read(int(i), "label.png")) for i in chosen])
    posterior = classifier.log_posterior(torch.from_numpy(image)).softmax(dim=-1)
    return posterior.flatten(0, 2), torch.from_numpy(label).flatten()


def _improve(
    order: NDArray[np.int64], posterior: Tensor, label: Tensor, anchors: NDArray[np.float32]
) -> tuple[float, NDArray[np.int64]]:
    best, improved = _score(posterior, label, anchors[order]), True
    while improved:
        improved = False
        for i, j in itertools.combinations(range(len(order)), 2):
            swapped = order.copy()
            swapped[[i, j]] = swapped[[j, i]]
            score = _score(posterior, label, anchors[swapped])
            if score > best:
                order, best, improved = swapped, score, True
    return best, order


def _score(posterior: Tensor, label: Tensor, anchors: NDArray[np.float32]) -> float:
    table = torch.from_numpy(anchors / 255)
    mean = posterior @ table
    prediction = (table.square().sum(dim=1) - 2 * mean @ table.T).argmin(dim=1)
    confusion = ConfusionMatrix(len(anchors))
    confusion.update(prediction[None, None], label[None, None])
    return confusion.miou


if __name__ == "__main__":
    main()
