"""Everything that a report says, gathered before any of it is written as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.core.provenance import Provenance, read_provenance
from semflow.core.seeds import spread
from semflow.evaluation.details import SegmentationDetails, read_details
from semflow.evaluation.results import Metrics, read_metrics
from semflow.pipeline import SemFlowPipeline, load_pipeline
from semflow.report.extremes import Extremes, make_extremes
from semflow.report.films import Film, make_films
from semflow.report.formats import Color
from semflow.report.schema import ReportParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from semflow.training.curve import TrainingCurve, read_curve

FILMS = 2
"""Examples whose ways are shown."""


@dataclass(frozen=True)
class ReportInputs:
    """What a report is made from.

    Args:
        metrics: The file metrics.json of the checkpoint.
        details: The file details.json of the same evaluation.
        pipeline: Folder of the checkpoint.
        shards: Pixel shards, a folder for each split.
    """

    metrics: Path
    details: Path
    pipeline: Path
    shards: Path


@dataclass(frozen=True)
class Example:
    """One sample of the tested split, both ways.

    Args:
        key: The data set's name for it.
        image: (H, W, 3) uint8.
        label: (H, W) uint8 ids, 255 = no class.
        segmentation: (H, W) uint8 ids.
        syntheses: (H, W, 3) uint8, one for each seed.
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
        name: Its path inside the checkpoint, with slashes.
        values: How many numbers it holds.
        sha256: Hexadecimal checksum of its bytes.
    """

    name: str
    values: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """All that a page is made from.

    Args:
        dataset: Name of the data set.
        block: The data set's block of params.yaml, plain values.
        seeds: Seeds of each example's syntheses.
        metrics: What the evaluation found.
        solver: The checkpoint's default solver.
        image_size: Height and width that the checkpoint works at, pixels.
        class_colors: K display colours of the data set, in class order.
        anchors: K colours of the classes in the flow.
        ignore_color: Colour of pixels without a class in the flow.
        train_samples: Samples of the train split.
        split_samples: Samples of the split that was tested.
        weights: Files of the checkpoint.
        provenance: What made the checkpoint, if it notes it.
        examples: Samples to show.
        films: The way of some of them; empty where the states on it are no pictures.
        details: What the default sampler confuses, and its score of each tested sample.
        extremes: Its worst and its best samples.
        curve: What the training has logged, if the checkpoint notes it.
    """

    dataset: str
    block: Mapping[str, Any]
    seeds: tuple[int, ...]
    metrics: Metrics
    solver: str
    image_size: tuple[int, int]
    class_colors: tuple[Color, ...]
    anchors: tuple[Color, ...]
    ignore_color: Color
    train_samples: int
    split_samples: int
    weights: tuple[WeightFile, ...]
    provenance: Provenance | None
    examples: tuple[Example, ...]
    films: tuple[Film, ...]
    details: SegmentationDetails
    extremes: Extremes
    curve: TrainingCurve | None

    def parameter(self, group: str, key: str) -> Any:
        """One value of params.yaml: as the checkpoint notes it, else as the file has it now.

        Raises:
            UserError: Neither has it.
        """
        noted = self.provenance.parameters if self.provenance else {}
        for values in (noted, self.block):
            if isinstance(found := values.get(group), Mapping) and key in found:
                return found[key]
        cure = "add it, see the blocks of the other data sets"
        raise UserError(f"params.yaml: {self.dataset}.{group}.{key} is missing; {cure}")


def gather(
    dataset: str, params: ReportParams, block: Mapping[str, Any], inputs: ReportInputs
) -> Content:
    """Reads all inputs and runs the checkpoint on the samples that the page shows.

    Args:
        dataset: Name of the data set.
        params: How many samples, and the seeds of their syntheses.
        block: The data set's block of params.yaml, plain values.
        inputs: Metrics, details, checkpoint and shards.

    Raises:
        UserError: An input is missing, or they are not of one checkpoint.
    """
    metrics = read_metrics(inputs.metrics)
    details = matching_details(inputs, metrics)
    pipeline = load_pipeline(inputs.pipeline)
    config = pipeline.config
    if list(config.class_names) != metrics.classes:
        cure = f"run: dvc repro evaluate@{dataset}"
        raise UserError(f"{inputs.metrics} has other classes than {inputs.pipeline}; {cure}")
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    manifest = read_manifest(inputs.shards / metrics.split)
    tested = ShardFolder(manifest)
    examples = make_examples(pipeline, tested, params)
    height, width = config.image_size
    return Content(
        dataset=dataset,
        block=block,
        seeds=params.seeds,
        metrics=metrics,
        solver=config.solver,
        image_size=(height, width),
        class_colors=tuple(map(_color, config.class_colors)),
        anchors=tuple(map(_color, config.anchors)),
        ignore_color=_color(config.ignore_color),
        train_samples=len(read_manifest(inputs.shards / "train")),
        split_samples=len(manifest),
        weights=weight_files(inputs.pipeline),
        provenance=read_provenance(inputs.pipeline),
        examples=examples,
        films=films_of(pipeline, examples, params.seeds[0]),
        details=details,
        extremes=make_extremes(pipeline, tested, details),
        curve=read_curve(inputs.pipeline),
    )


def matching_details(inputs: ReportInputs, metrics: Metrics) -> SegmentationDetails:
    """What stands behind the figures of an evaluation.

    Raises:
        UserError: It is of another evaluation, or the checkpoint goes one way alone.
    """
    figures, details = metrics.two_way_segmentation(), read_details(inputs.details).segmentation
    measured = (len(metrics.classes), figures.samples, figures.steps)
    found = details and (len(details.confusion), len(details.keys), details.steps)
    if details is None or found != measured:
        cure = "run: dvc repro evaluate"
        raise UserError(f"{inputs.details} is of another evaluation than {inputs.metrics}; {cure}")
    return details


def films_of(pipeline: SemFlowPipeline, examples: Sequence[Example], seed: int) -> tuple[Film, ...]:
    """The way of some of the examples, spread evenly over them."""
    chosen = [examples[place] for place in spread(len(examples), FILMS)]
    return make_films(pipeline, [(one.key, one.image, one.label) for one in chosen], seed)


def make_examples(
    pipeline: SemFlowPipeline, tested: ShardFolder, params: ReportParams
) -> tuple[Example, ...]:
    """Segments and synthesizes samples spread evenly over the tested split.

    Args:
        pipeline: The checkpoint, with its default steps and solver.
        tested: Pixel shards of the split.
        params: How many samples, and the seeds of their syntheses.

    Returns:
        `params.examples` of them, or all where fewer exist.
    """
    positions = spread(len(tested), params.examples)
    return tuple(_example(pipeline, tested, position, params.seeds) for position in positions)


def _example(
    pipeline: SemFlowPipeline, tested: ShardFolder, position: int, seeds: Sequence[int]
) -> Example:
    # One sample a call: then a synthesis is what the command line makes of this label and seed,
    # and pictures do not depend on what else is shown.
    image = png_pixels(tested.read(position, "image.png"))
    label = png_pixels(tested.read(position, "label.png"))
    (segmentation,) = pipeline.segment(Image.fromarray(image))
    syntheses = (np.asarray(pipeline.synthesize(label, seed=seed)[0]) for seed in seeds)
    return Example(tested.key(position), image, label, segmentation, tuple(syntheses))


def weight_files(folder: Path) -> tuple[WeightFile, ...]:
    """Every safetensors file below a folder, in the order of its path."""
    paths = sorted(folder.rglob("*.safetensors"), key=lambda path: path.relative_to(folder).parts)
    return tuple(
        WeightFile(path.relative_to(folder).as_posix(), _values_in(path), sha256_of(path))
        for path in paths
    )


def _values_in(path: Path) -> int:
    # A safetensors file begins with the length of a JSON header, eight bytes, and that header.
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    header.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in header.values())


def _color(levels: Sequence[float]) -> Color:
    red, green, blue = (round(level) for level in levels)
    return red, green, blue
