"""Running a checkpoint on the samples that the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from semflow.core.seeds import spread
from semflow.report.content import Example
from semflow.report.schema import ReportParams
from semflow.shards.tar import ShardFolder, png_pixels

if TYPE_CHECKING:
    from semflow.pipeline import SemFlowPipeline


def make_examples(
    pipeline: SemFlowPipeline, val: ShardFolder, params: ReportParams
) -> tuple[Example, ...]:
    """Segments and synthesizes val samples spread evenly over the split.

    Args:
        pipeline: the checkpoint; its default steps and solver are used.
        val: pixel shards of the validation split.
        params: how many samples, and the seeds of their syntheses.

    Returns:
        `params.examples` of them, or all where fewer exist.
    """
    return tuple(
        _example(pipeline, val, position, params) for position in spread(len(val), params.examples)
    )


def _example(
    pipeline: SemFlowPipeline, val: ShardFolder, position: int, params: ReportParams
) -> Example:
    # One sample a call: then a synthesis is what the command line makes of this label and seed,
    # and pictures do not depend on what else is shown.
    image = png_pixels(val.read(position, "image.png"))
    label = png_pixels(val.read(position, "label.png"))
    (segmentation,) = pipeline.segment(Image.fromarray(image))
    return Example(
        key=val.key(position),
        image=image,
        label=label,
        segmentation=segmentation,
        syntheses=tuple(
            np.asarray(pipeline.synthesize(label, seed=seed)[0]) for seed in params.seeds
        ),
    )
