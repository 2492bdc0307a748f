"""A checkpoint that goes one way alone is measured that way as any other, and the other is null."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from support.evaluate_alone import simple_evaluation
from support.tiny import ALONE, tiny_pipeline

from semflow.core.errors import UserError
from semflow.evaluation.evaluate import evaluate
from semflow.evaluation.results import Metrics, read_metrics, write_curves, write_metrics
from semflow.formulations.semflow import SemFlow
from semflow.pipeline import SemFlowPipeline
from semflow.report.runs import absent_classes, segmentation_runs, synthesis_runs
from semflow.schema import DatasetParams

SETTINGS = {
    "samples": 4,
    "reference": "other",
    "batch_size": 3,
    "segmentation_steps": (2,),
    "synthesis_steps": (1,),
    "diversity_labels": 2,
    "adaptive": False,
}


def refuse(*_arguments: object) -> NoReturn:
    raise AssertionError("there is no such way")


def one_way(segments: bool, synthesizes: bool) -> SemFlowPipeline:
    """The moving pipeline, without a way that it has otherwise and without states on the way."""
    flow, pipeline = SemFlow(), tiny_pipeline(moving=True)
    formulation = SimpleNamespace(
        name=flow.name,
        samplers=flow.samplers,
        starts_from_noise=False,
        segments=segments,
        synthesizes=synthesizes,
        to_mask=flow.to_mask if segments else refuse,
        to_image=flow.to_image if synthesizes else refuse,
    )
    # Past diffusers, which would write it over the name of the same key in the configuration.
    pipeline.__dict__["formulation"] = formulation
    return pipeline


def measured(pipeline: SemFlowPipeline, pixels: Path, params: DatasetParams, out: Path) -> Metrics:
    settings = params.evaluate.model_copy(update=SETTINGS)
    found = evaluate(simple_evaluation(pipeline, pixels, settings, ALONE), settings, out)
    assert (found.details.segmentation is None) == (not pipeline.formulation.segments)
    return found.metrics


@pytest.fixture
def both(pixels: Path, params: DatasetParams, tmp_path: Path) -> Metrics:
    return measured(one_way(True, True), pixels, params, tmp_path)


def test_what_synthesizes_alone_has_the_same_syntheses_and_no_segmentation(
    both: Metrics, pixels: Path, params: DatasetParams, tmp_path: Path
) -> None:
    found = measured(one_way(False, True), pixels, params, tmp_path)
    assert found.segmentation is None
    assert found.diagnosis is None
    assert found.samples == both.samples == 4
    assert found.systems["semflow"].segmentation == {}
    assert found.baselines == both.baselines
    assert found.synthesis is not None
    assert both.synthesis is not None
    # All but what it would have said of its own syntheses; the independent judge's answer stays.
    nothing = {"roundtrip_miou_semflow": None, "roundtrip_miou_semflow_interval": None}
    assert list(found.systems["semflow"].synthesis) == ["euler-1", "euler-2"]
    for name in both.systems:
        for sampler, figures in both.systems[name].synthesis.items():
            assert figures.roundtrip_miou_semflow is not None
            assert figures.roundtrip_miou_unet is not None
            alone = found.systems[name].synthesis[sampler]
            assert alone == figures.model_copy(update=nothing)
    assert found.synthesis.diversity_st_lpips == both.synthesis.diversity_st_lpips
    assert found.synthesis.roundtrip_miou == both.synthesis.roundtrip_miou


def test_what_segments_alone_has_the_same_segmentation_and_no_syntheses(
    both: Metrics, pixels: Path, params: DatasetParams, tmp_path: Path
) -> None:
    found = measured(one_way(True, False), pixels, params, tmp_path)
    assert found.synthesis is None
    assert found.samples == 4
    assert found.segmentation == both.segmentation
    assert found.baselines == both.baselines
    assert list(found.systems) == ["semflow"]
    assert found.systems["semflow"].segmentation == both.systems["semflow"].segmentation


@pytest.mark.parametrize("way", ["segmentation", "synthesis"])
def test_one_way_figures_are_read_again_as_written_and_the_other_curve_is_empty(
    both: Metrics, tmp_path: Path, way: str
) -> None:
    alone = both.model_copy(update={way: None})
    write_metrics(alone, tmp_path / "metrics.json")
    assert read_metrics(tmp_path / "metrics.json") == alone
    curves = {name: tmp_path / f"{name}.json" for name in ("segmentation", "synthesis")}
    write_curves(alone, curves["segmentation"], curves["synthesis"])
    empty = {name: path.read_text("utf-8").strip() == "[]" for name, path in curves.items()}
    assert empty == {name: name == way for name in curves}


def test_what_shows_both_directions_refuses_one_in_a_line(both: Metrics) -> None:
    alone = both.model_copy(update={"segmentation": None})
    for shown in (lambda: segmentation_runs(alone, "euler"), lambda: absent_classes(alone)):
        with pytest.raises(UserError, match="synthesizes and does not segment, and nothing here"):
            shown()
    alone = both.model_copy(update={"synthesis": None})
    with pytest.raises(UserError, match="segments and does not synthesize, and nothing here"):
        synthesis_runs(alone, "euler")
