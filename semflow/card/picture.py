"""Held-out samples both ways as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semflow.core.pictures import color_table, picture_grid
from semflow.core.seeds import spread
from semflow.pipeline import SemFlowPipeline
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels


def held_out_picture(
    pipeline: SemFlowPipeline, tested: ShardFolder, samples: int, seeds: Sequence[int]
) -> NDArray[np.uint8]:
    """A column for each sample, as one (H, W, 3) uint8 picture.

    From above: image, label, its segmentation, and a synthesis from the label for each seed.

    Args:
        pipeline: The checkpoint, with its default steps and solver.
        tested: Pixel shards of the split.
        samples: Columns, spread evenly over the split.
        seeds: Of the syntheses.
    """
    colors = color_table(pipeline.config.class_colors)
    columns = []
    for position in spread(len(tested), samples):
        image = png_pixels(tested.read(position, "image.png"))
        label = png_pixels(tested.read(position, "label.png"))
        [segmented] = pipeline.segment(image)
        made = [np.asarray(pipeline.synthesize(label, seed=seed)[0]) for seed in seeds]
        columns.append([image, colors[label], colors[segmented], *made])
    return picture_grid(list(zip(*columns, strict=True)))
