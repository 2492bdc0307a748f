"""The checkpoint that comes with the repository does what the README shows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semflow.metrics.confusion import ConfusionMatrix
from semflow.pipeline import SemFlowPipeline, load_pipeline
from tools.closure import ROOT

SHIPPED = ROOT / "pretrained" / "robots"
EXAMPLES = sorted((ROOT / "pretrained" / "robots-examples").glob("*-image.png"))
LARGEST = 16 * 2**20


@pytest.fixture(scope="module")
def pipeline() -> SemFlowPipeline:
    return load_pipeline(SHIPPED)


def label_of(image: Path) -> np.ndarray:
    return np.asarray(Image.open(image.with_name(image.name.replace("image", "label"))))


def test_its_files_are_safetensors_and_none_is_large() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert max(path.stat().st_size for path in files) <= LARGEST


@pytest.mark.parametrize("num_steps", [1, 25])
def test_it_segments_robots_of_designs_that_it_never_saw(
    pipeline: SemFlowPipeline, num_steps: int
) -> None:
    assert len(EXAMPLES) >= 4
    matrix = ConfusionMatrix(pipeline.palette.num_classes)
    for path, found in zip(
        EXAMPLES, pipeline.segment([Image.open(path) for path in EXAMPLES], num_steps), strict=True
    ):
        matrix.update(torch.from_numpy(found), torch.from_numpy(label_of(path).copy()))
    assert matrix.miou > 0.8


def test_it_synthesizes_another_robot_with_another_seed_that_has_the_label_it_was_made_from(
    pipeline: SemFlowPipeline,
) -> None:
    label = label_of(EXAMPLES[0])
    one, other = (pipeline.synthesize(label, seed=seed)[0] for seed in (0, 1))
    assert np.abs(np.asarray(one, int) - np.asarray(other, int)).mean() > 5
    [found] = pipeline.segment(one)
    assert (found == label).mean() > 0.9
