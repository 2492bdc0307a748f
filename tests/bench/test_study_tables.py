from __future__ import annotations

from pathlib import Path

import pytest

from bench import study
from semflow.evaluation.results import Metrics
from tools.closure import ROOT


def test_seeds_are_one_line_of_their_mean_with_the_smallest_and_the_largest(
    metrics: Metrics,
) -> None:
    runs = [with_miou(metrics, value) for value in (0.5, 0.7, 0.6)]
    line = list(study.segmentation({"semflow": runs}))[2]
    assert line.startswith("| SemFlow, the values of params.yaml | 0.600 <sub>[0.500, 0.700]</sub>")
    assert line.endswith("| 3 |")


def test_one_seed_has_no_spread_and_what_was_not_measured_is_a_dash(metrics: Metrics) -> None:
    line = list(study.segmentation({"other": [with_miou(metrics, 0.25)]}))[2]
    assert line == "| other | 0.250 | - | - | - | - | 1 |"


def test_rows_of_several_seeds_belong_to_one_system_and_missing_ones_are_left_out(
    workspace: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "RESULTS", workspace)
    for name in ("robots-semflow-0", "robots-semflow-2", "robots-faithful"):
        (workspace / name).mkdir()
        (workspace / name / "metrics.json").write_text(metrics.model_dump_json())
    rows = ["robots-semflow-0", "robots-semflow-1", "robots-semflow-2", "robots-faithful"]
    found = study.systems_of(rows)
    assert {system: len(runs) for system, runs in found.items()} == {"semflow": 2, "faithful": 1}


def test_the_tables_of_the_study_are_those_of_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = study.DOCS.read_text("utf-8")
    written = text.split(study.START)[1].split(study.END)[0]
    assert written.strip() == "\n\n".join(study.tables()).strip()


def test_one_seed_has_the_bootstraps_interval_behind_it(metrics: Metrics) -> None:
    run = with_miou(metrics, 0.25)
    figures = run.segmentation.by_steps[1].model_copy(update={"miou_interval": (0.2, 0.3125)})
    found = run.segmentation.model_copy(update={"by_steps": {1: figures}})
    run = run.model_copy(update={"segmentation": found})
    line = list(study.segmentation({"other": [run]}))[2]
    assert line.startswith("| other | 0.250 <sub>[0.200, 0.312]</sub> | -")


def test_what_segments_alone_has_no_line_among_the_syntheses(metrics: Metrics) -> None:
    alone = metrics.model_copy(update={"synthesis": None})
    lines = list(study.synthesis({"dsm": [alone], "semflow": [metrics]}))
    assert len(lines) == 3
    assert lines[2].startswith("| SemFlow")


def test_what_synthesizes_alone_has_no_line_among_the_segmentations(metrics: Metrics) -> None:
    alone = metrics.model_copy(update={"segmentation": None})
    found = {"other": [alone], "semflow": [metrics]}
    lines = list(study.segmentation(found))
    assert len(lines) == 3
    assert lines[2].startswith("| SemFlow")
    assert len(list(study.synthesis(found))) == 4
    judges = {**metrics.baselines, "color_classifier": metrics.baselines["unet"]}
    alone = alone.model_copy(update={"baselines": judges})
    assert "; 37 samples of test, 41 real images" in study.introduction("robots", alone)


def with_miou(metrics: Metrics, miou: float) -> Metrics:
    """The same figures with one number of steps and this mIoU there."""
    figures = next(iter(metrics.segmentation.by_steps.values()))
    found = metrics.segmentation.model_copy(
        update={"by_steps": {1: figures.model_copy(update={"miou": miou})}}
    )
    return metrics.model_copy(update={"segmentation": found})


def test_table_2_is_in_order_and_has_no_agreement_of_what_draws_nothing() -> None:
    found = {
        "samples": 64,
        "miou": {
            "maskformer": {"10": 0.125, "2": 0.0625},
            "semflow-0": {"10": 0.5, "2": 0.25},
        },
        "agreement": {"semflow-0": 1.0},
    }
    head, _rule, own, other = study.many_steps(found)
    assert head == "| mIoU of 64 samples | 2 | 10 | agreement of seeds |"
    assert own == "| SemFlow, the values of params.yaml | 0.250 | 0.500 | 1.000 |"
    assert other == "| MaskFormer | 0.062 | 0.125 | - |"
