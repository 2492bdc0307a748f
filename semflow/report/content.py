"""Everything that a report says, gathered before any of it is rendered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semflow.core.pictures import color_table
from semflow.core.provenance import Provenance
from semflow.evaluation.results import Metrics
from semflow.schema import DatasetParams

Color = tuple[int, int, int]
"""Red, green and blue, grey levels in 0..255."""


@dataclass(frozen=True)
class Example:
    """One validation sample, both ways.

    Args:
        key: the data set's name for it.
        image: (H, W, 3) uint8.
        label: (H, W) uint8 ids, 255 = no class.
        segmentation: (H, W) uint8 ids.
        syntheses: (H, W, 3) uint8, one for each of params.report.seeds.
    """

    key: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    segmentation: NDArray[np.uint8]
    syntheses: tuple[NDArray[np.uint8], ...]


@dataclass(frozen=True)
class WeightFile:
    """One safetensors file of the checkpoint.

    Args:
        name: its path inside the checkpoint, with slashes.
        values: how many numbers it holds.
        sha256: of its bytes, hexadecimal.
    """

    name: str
    values: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """All that a page is made from.

    Args:
        dataset: its name.
        params: the data set's block.
        metrics: what the evaluation found.
        class_colors: K display colours, grey levels, in class order; the data set's own.
        anchors: K colours of the classes in the flow, grey levels.
        ignore_color: of pixels without a class in the flow, grey levels.
        train_samples: samples of the train split.
        val_samples: samples of the validation split.
        weights: files of the checkpoint.
        provenance: what made the checkpoint, if it notes it.
        examples: samples to show.
    """

    dataset: str
    params: DatasetParams
    metrics: Metrics
    class_colors: tuple[Color, ...]
    anchors: tuple[Color, ...]
    ignore_color: Color
    train_samples: int
    val_samples: int
    weights: tuple[WeightFile, ...]
    provenance: Provenance | None
    examples: tuple[Example, ...]

    def color_table(self) -> NDArray[np.uint8]:
        """(256, 3) uint8: display colours by label id."""
        return color_table(self.class_colors)

    def anchor_table(self) -> NDArray[np.uint8]:
        """(256, 3) uint8: the flow's own colours by label id."""
        return color_table(self.anchors, self.ignore_color)
