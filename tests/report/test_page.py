"""The whole way: from metrics, a checkpoint and shards on disk to a page."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_data import CLASSES

from semflow.core.errors import UserError
from semflow.evaluation.results import Metrics, write_metrics
from semflow.pipeline import SemFlowPipeline
from semflow.report.page import write_report
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, png_bytes, png_pixels


@pytest.fixture
def checkpoint(tmp_path: Path, moving_pipeline: SemFlowPipeline) -> Path:
    folder = tmp_path / "pipeline"
    moving_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def metrics_file(tmp_path: Path, metrics: Metrics) -> Path:
    path = tmp_path / "metrics.json"
    write_metrics(metrics.model_copy(update={"classes": list(CLASSES.names)}), path)
    return path


def test_a_report_is_written_twice_to_the_same_bytes(
    tmp_path: Path, params: DatasetParams, checkpoint: Path, metrics_file: Path, dataset: Any
) -> None:
    pages = [tmp_path / name for name in ("one.html", "two.html")]
    for page in pages:
        write_report("earth", params, metrics_file, checkpoint, dataset.shards, page)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_report_shows_what_the_checkpoint_makes_of_each_sample_alone(
    tmp_path: Path,
    params: DatasetParams,
    checkpoint: Path,
    metrics_file: Path,
    dataset: Any,
    moving_pipeline: SemFlowPipeline,
) -> None:
    out = tmp_path / "page.html"
    write_report("earth", params, metrics_file, checkpoint, dataset.shards, out)
    page = out.read_text("utf-8")
    val = ShardFolder(read_manifest(dataset.shards / "val"))
    for position in range(len(val)):
        assert val.key(position) in page
        label = png_pixels(val.read(position, "label.png"))
        for seed in params.report.seeds:
            made = np.asarray(moving_pipeline.synthesize(label, seed=seed)[0])
            assert base64.b64encode(png_bytes(made)).decode() in page


def test_metrics_of_other_classes_are_refused_and_nothing_is_written(
    tmp_path: Path, params: DatasetParams, checkpoint: Path, metrics: Metrics, dataset: Any
) -> None:
    metrics_file, out = tmp_path / "metrics.json", tmp_path / "page.html"
    write_metrics(metrics, metrics_file)
    with pytest.raises(UserError, match="dvc repro evaluate@earth"):
        write_report("earth", params, metrics_file, checkpoint, dataset.shards, out)
    assert not out.exists()
