"""What the page computes: from arrays to arrays, without files and without a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.core.pictures import color_table
from semflow.filmstrip import (
    decoded_states,
    has_filmstrip,
    path_states,
    segmenting_grid,
    states_at,
)
from semflow.metrics.confusion import ConfusionMatrix
from semflow.pipeline import SemFlowPipeline

Picture = NDArray[np.uint8]

FRAMES = 9


@dataclass(frozen=True)
class Agreement:
    """How far two label maps agree.

    Args:
        miou: Mean IoU in 0..1 over the classes that either of them has; nan if there is none.
        pixel_accuracy: Fraction in 0..1 of pixels; nan where the label has none with a class.
    """

    miou: float
    pixel_accuracy: float


@dataclass(frozen=True)
class RoundTrip:
    """A synthesis and what the same flow sees in it.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8, the synthesis segmented.
        agreement: Of this label with the one that the synthesis was made from.
    """

    image: Picture
    label: Picture
    agreement: Agreement


@dataclass(frozen=True)
class Frame:
    """A state of the flow as a picture (H, W, 3) uint8, at time t in 0..1."""

    t: float
    picture: Picture


def overlay(
    image: Picture, label: Picture, class_colors: Sequence[Sequence[int]], opacity: float
) -> Picture:
    """A label's display colours laid over its image.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8 ids.
        class_colors: (K, 3), in the order of ids.
        opacity: In 0..1; 0 shows the image alone, 1 the colours alone.
    """
    colored = color_table(class_colors)[label].astype(np.float32)
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * colored
    return np.rint(mixed).astype(np.uint8)


def shares_of(label: Picture, num_classes: int) -> list[float]:
    """The share of a label's pixels that each class has, in 0..1."""
    counts = np.bincount(label.reshape(-1), minlength=256)[:num_classes]
    return [float(count) / label.size for count in counts]


def agreement(found: Picture, label: Picture, num_classes: int) -> Agreement:
    """How far a segmentation (H, W) agrees with a label (H, W); ignored pixels are left out."""
    confusion = ConfusionMatrix(num_classes)
    confusion.update(torch.from_numpy(found.copy()), torch.from_numpy(label.copy()))
    return Agreement(confusion.miou, confusion.pixel_accuracy)


def segment(pipeline: SemFlowPipeline, image: Picture, num_steps: int) -> Picture:
    """An image (H, W, 3) -> its label ids (H, W) uint8, by the checkpoint's solver."""
    [label] = pipeline.segment(Image.fromarray(image), num_steps)
    return label


def round_trips(
    pipeline: SemFlowPipeline, label: Picture, seed: int, count: int, num_steps: int
) -> list[RoundTrip]:
    """Syntheses of one label, each segmented again by the same flow.

    Synthesis k is that of `semflow synthesize --seed SEED --samples COUNT`, byte by byte. They are
    segmented with the checkpoint's own number of steps.

    Args:
        pipeline: A checkpoint that synthesizes.
        label: (H, W) uint8 ids.
        seed: 0 .. 2**63 - 1.
        count: Number of syntheses.
        num_steps: Solver steps from mask to image.

    Raises:
        UserError: As of `SemFlowPipeline.synthesize`.
    """
    made = pipeline.synthesize([label] * count, num_steps, seed=seed)
    classes = pipeline.palette.num_classes
    return [
        RoundTrip(np.asarray(image), found, agreement(found, label, classes))
        for image, found in zip(made, pipeline.segment(made), strict=True)
    ]


def filmstrip(
    pipeline: SemFlowPipeline, image: Picture, num_steps: int, frames: int = FRAMES
) -> list[Frame]:
    """The flow from image to pseudo-mask, at equal distances of t.

    Args:
        pipeline: A checkpoint that `has_filmstrip`.
        image: (H, W, 3) uint8.
        num_steps: Of Euler's method, on the times that segmentation visits: with that solver the
            last frame is what the segmentation is read from.
        frames: How many, at least 2.

    Raises:
        UserError: The formulation's states lie elsewhere.
    """
    if not has_filmstrip(pipeline):
        raise UserError(f"{pipeline.formulation.name} has no path from image to mask to show")
    grid = segmenting_grid(pipeline, num_steps)
    times = [number / (frames - 1) for number in range(frames)]
    states = states_at(path_states(pipeline, [image], grid), grid, times)
    pictures = decoded_states(pipeline, states, times)
    return [Frame(t, picture[0]) for t, picture in zip(times, pictures, strict=True)]
