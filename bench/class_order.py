"""Which class should get which colour of a palette, by the confusions of the colour classifier.

    python -m bench.class_order data/shards/earth [base_k|spread]

Where an image leaves doubt, squared error teaches the mean of the possible classes' colours, and
the nearest anchor of that mean may be a third class. This replays just that on real pixels of the
train split: posterior probabilities by colour, their mean colour, its nearest anchor; and searches
the order of classes with the best mIoU by pairwise swaps from several starts.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.baselines.color_classifier import choose_color_classifier
from semflow.core.seeds import spread
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pseudo_masks.palette import base_k_anchors, spread_anchors
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

TILES, STARTS = 60, 4
K, SPACING = 6, 50.0
"""The paper's, for base_k."""
BLURS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Of the classifier, pixels; val chooses one."""


def main() -> None:
    """Prints the mIoU of the identity and of the best order found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shards", type=Path, help="pixel shards of a data set")
    parser.add_argument("scheme", choices=("spread", "base_k"), nargs="?", default="spread")
    options = parser.parse_args()
    posterior, label = posteriors(options.shards, TILES)
    anchors = scheme_anchors(options.scheme, posterior.shape[1])
    identity = miou_of(posterior, label, anchors)
    print(f"{options.scheme}: identity {identity:.4f}", flush=True)
    best, order = best_order(posterior, label, anchors, STARTS)
    print(f"{options.scheme}: best {best:.4f} with class_order: {order.tolist()}")


def scheme_anchors(scheme: str, num_classes: int) -> NDArray[np.float32]:
    """Anchors (K, 3), grey levels, in the scheme's own order."""
    if scheme == "base_k":
        return base_k_anchors(num_classes, K, SPACING)
    return spread_anchors(num_classes)


def posteriors(shards: Path, tiles: int) -> tuple[Tensor, Tensor]:
    """What the colour classifier makes of some tiles of the split that it is fitted to.

    Args:
        shards: Pixel shards of a data set.
        tiles: How many, spread evenly; fewer where the split has fewer.

    Returns:
        p(class | colour) of every pixel, (P, K) float32, and its label, (P,) uint8.
    """
    train, val = (read_manifest(shards / split) for split in ("train", "val"))
    classifier = choose_color_classifier(train, val, BLURS)
    folder = ShardFolder(train)
    chosen = list(spread(len(folder), tiles))
    image = np.stack([png_pixels(folder.read(i, "image.png")) for i in chosen])
    label = np.stack([png_pixels(folder.read(i, "label.png")) for i in chosen])
    posterior = classifier.score_batch(torch.from_numpy(image)).softmax(dim=1)
    return posterior.permute(0, 2, 3, 1).flatten(0, 2), torch.from_numpy(label).flatten()


def best_order(
    posterior: Tensor, label: Tensor, anchors: NDArray[np.float32], starts: int
) -> tuple[float, NDArray[np.int64]]:
    """The best order found by pairwise swaps, from the identity and from random ones.

    Args:
        posterior: (P, K).
        label: (P,).
        anchors: (K, 3) grey levels.
        starts: How many orders to start from.

    Returns:
        Its mIoU, and the number of the colour of each class, (K,).
    """
    generator = np.random.default_rng(0)
    orders = [np.arange(len(anchors))]
    orders += [generator.permutation(len(anchors)) for _ in range(starts - 1)]
    found = [_improve(order, posterior, label, anchors) for order in orders]
    return max(found, key=lambda result: result[0])


def miou_of(posterior: Tensor, label: Tensor, anchors: NDArray[np.float32]) -> float:
    """mIoU of the nearest anchors of mean colours; row c of `anchors` is class c's."""
    table = torch.from_numpy(anchors / 255)
    mean = posterior @ table
    prediction = (table.square().sum(dim=1) - 2 * mean @ table.T).argmin(dim=1)
    confusion = ConfusionMatrix(len(anchors))
    confusion.update(prediction[None, None], label[None, None])
    return confusion.miou


def _improve(
    order: NDArray[np.int64], posterior: Tensor, label: Tensor, anchors: NDArray[np.float32]
) -> tuple[float, NDArray[np.int64]]:
    best, improved = miou_of(posterior, label, anchors[order]), True
    while improved:
        improved = False
        for i, j in itertools.combinations(range(len(order)), 2):
            swapped = order.copy()
            swapped[[i, j]] = swapped[[j, i]]
            score = miou_of(posterior, label, anchors[swapped])
            if score > best:
                order, best, improved = swapped, score, True
    return best, order


if __name__ == "__main__":
    main()
