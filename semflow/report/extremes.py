"""Which tested samples the checkpoint segments worst and best, and what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.evaluation.details import SegmentationDetails
from semflow.pipeline import SemFlowPipeline
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

EXTREMES = 4
"""Samples at either end; fewer where there are not twice as many."""


@dataclass(frozen=True)
class Segmented:
    """A sample, what the checkpoint makes of it, and its score.

    Args:
        key: The data set's name for it.
        miou: Of this image alone, in [0, 1].
        image: (H, W, 3) uint8.
        label: (H, W) uint8 ids, 255 = no class.
        prediction: (H, W) uint8 ids.
    """

    key: str
    miou: float
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class Extremes:
    """Both ends of the tested samples.

    Args:
        worst: The lowest score first.
        best: The highest score first.
    """

    worst: tuple[Segmented, ...]
    best: tuple[Segmented, ...]


def choose(scores: Sequence[float | None], most: int) -> tuple[list[int], list[int]]:
    """Places of the lowest and of the highest scores, the outermost first.

    Of equal scores the first place counts as the lower one.

    Args:
        scores: None where there is nothing to score.
        most: How many at either end; fewer where a place would be at both.
    """
    scored = sorted((score, place) for place, score in enumerate(scores) if score is not None)
    count = min(most, len(scored) // 2)
    worst, best = scored[:count], scored[::-1][:count]
    return [place for _, place in worst], [place for _, place in best]


def make_extremes(
    pipeline: SemFlowPipeline, tested: ShardFolder, details: SegmentationDetails
) -> Extremes:
    """Segments the worst and the best samples again, each by itself.

    Args:
        pipeline: The checkpoint, with its default steps and solver.
        tested: Pixel shards of the split.
        details: The score of every tested sample.

    Raises:
        UserError: A sample is not in the split.
    """
    positions = {tested.key(position): position for position in range(len(tested))}

    def segmented(place: int) -> Segmented:
        """The sample at a place of the details."""
        key, score = details.keys[place], details.miou_by_image[place]
        if key not in positions or score is None:
            raise UserError(f"details.json names {key!r}, which is no tested sample; {_CURE}")
        image = png_pixels(tested.read(positions[key], "image.png"))
        label = png_pixels(tested.read(positions[key], "label.png"))
        (prediction,) = pipeline.segment(Image.fromarray(image))
        return Segmented(key, score, image, label, prediction)

    worst, best = choose(details.miou_by_image, EXTREMES)
    return Extremes(tuple(map(segmented, worst)), tuple(map(segmented, best)))


def deciles(scores: Sequence[float | None]) -> tuple[float, float, float] | None:
    """What a tenth, half and nine tenths of the scores lie below; None of fewer than two."""
    found = [score for score in scores if score is not None]
    if len(found) < 2:
        return None
    tenths = quantiles(found, n=10, method="inclusive")
    return tenths[0], tenths[4], tenths[8]


_CURE = "run: dvc repro evaluate"
