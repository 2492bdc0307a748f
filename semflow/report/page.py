"""From metrics and a checkpoint to the report: gathers the content, renders it, writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from semflow.core.errors import UserError
from semflow.core.files import write_text
from semflow.core.provenance import read_provenance
from semflow.evaluation.results import read_metrics
from semflow.pipeline import load_pipeline
from semflow.report.content import Color, Content
from semflow.report.examples import make_examples
from semflow.report.render import render_page
from semflow.report.weights import weight_files
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder


def write_report(
    dataset: str,
    params: DatasetParams,
    metrics_path: Path,
    pipeline_folder: Path,
    pixels: Path,
    out: Path,
) -> None:
    """Writes one self-contained HTML page; the same inputs give the same bytes.

    Args:
        dataset: its name.
        params: the data set's block.
        metrics_path: metrics.json of the checkpoint.
        pipeline_folder: the checkpoint.
        pixels: pixel shards, a folder for each split.
        out: the page.

    Raises:
        UserError: an input is missing, or the metrics are not of this checkpoint.
    """
    metrics = read_metrics(metrics_path)
    pipeline = load_pipeline(pipeline_folder)
    if list(pipeline.config.class_names) != metrics.classes:
        cure = f"run: dvc repro evaluate@{dataset}"
        raise UserError(f"{metrics_path} has other classes than {pipeline_folder}; {cure}")
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    val = read_manifest(pixels / "val")
    content = Content(
        dataset,
        params,
        metrics,
        class_colors=tuple(map(_color, pipeline.config.class_colors)),
        anchors=tuple(map(_color, pipeline.config.anchors)),
        ignore_color=_color(pipeline.config.ignore_color),
        train_samples=len(read_manifest(pixels / "train")),
        val_samples=len(val),
        weights=weight_files(pipeline_folder),
        provenance=read_provenance(pipeline_folder),
        examples=make_examples(pipeline, ShardFolder(val), params.report),
    )
    write_text(out, render_page(content))


def _color(levels: Sequence[float]) -> Color:
    red, green, blue = (round(level) for level in levels)
    return red, green, blue
