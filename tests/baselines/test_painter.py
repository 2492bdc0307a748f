from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from support.tiny import shard_folder
from support.tiny_data import CLASSES

from semflow.baselines.color_classifier import fit_color_classifiers
from semflow.baselines.painter import paint, painter_colors
from semflow.shards.tar import png_bytes


def test_each_class_is_filled_with_its_mean_colour_and_the_rest_with_the_mean_of_these(
    tmp_path: Path,
) -> None:
    # Class 0 is seen in (10, 20, 30) and (20, 40, 60), class 2 in one colour; 1 and 3 never.
    image = np.array([[[10, 20, 30], [20, 40, 60]], [[100, 0, 7], [9, 9, 9]]], np.uint8)
    label = np.array([[0, 0], [2, 255]], np.uint8)
    record = {"image.png": png_bytes(image), "label.png": png_bytes(label), "json": b"{}"}
    about = {"classes": {name: getattr(CLASSES, name) for name in vars(CLASSES)}}
    manifest = shard_folder([("a", record)], tmp_path, 4, about)
    # The classifier's blur mixes classes, the painter's colours are those of the images.
    colors = painter_colors(fit_color_classifiers(manifest, [1.0])[0])
    assert colors[:4].tolist() == [[15, 30, 45], [58, 15, 26], [100, 0, 7], [58, 15, 26]]
    assert colors[255].tolist() == [58, 15, 26]
    painted = paint(colors, torch.from_numpy(label)[None])
    assert painted.dtype == torch.uint8
    assert painted[0].tolist() == [[[15, 30, 45], [15, 30, 45]], [[100, 0, 7], [58, 15, 26]]]
