from __future__ import annotations

from pathlib import Path

import pytest
from support.flows_project import sh

from flows.graph import Stage
from flows.reproduce import (
    Row,
    largest_difference,
    metric_paths,
    metrics_at,
    metrics_here,
    side_by_side,
)


def test_rows_have_what_either_has_and_a_difference_where_both_have_it() -> None:
    assert side_by_side({"miou": 0.5, "gone": 1.0}, {"new": 2.0, "miou": 0.25}) == [
        Row("miou", 0.5, 0.25, -0.25),
        Row("gone", 1.0, None, None),
        Row("new", None, 2.0, None),
    ]


def test_a_fraction_of_an_accuracy_weighs_more_than_a_point_of_a_distance() -> None:
    # 0.02 of 0.5 is a 25th, 2 of 300 a 150th.
    rows = side_by_side({"miou": 0.48, "distance": 300.0}, {"miou": 0.5, "distance": 298.0})
    assert largest_difference(rows) == "largest difference: miou 0.48 there, 0.5 here"


def test_a_metric_that_was_zero_counts_as_changed_wholly() -> None:
    rows = side_by_side({"iou": 0.0, "miou": 0.5}, {"iou": 0.001, "miou": 0.4})
    assert largest_difference(rows) == "largest difference: iou 0 there, 0.001 here"


def test_equal_metrics_and_missing_ones_are_told() -> None:
    same = {"miou": 0.5, "iou": 0.0}
    assert largest_difference(side_by_side(same, same)) == "all 2 metrics are equal"
    none = "the commit holds no metrics to compare with"
    assert largest_difference(side_by_side({}, same)) == none
    assert largest_difference([]) == none


def test_metrics_are_the_numbers_of_what_git_tracks(project: Path) -> None:
    stages = [
        Stage("train", "train@earth", (), ("models",), (), True),
        Stage("evaluate", "evaluate@earth", (), ("a.json", "b.json"), ("a.json", "b.json"), True),
        Stage("note", "note", (), ("c.txt",), ("c.txt",), False),
    ]
    paths = metric_paths(stages)
    assert paths == ["a.json", "b.json"]
    (project / "a.json").write_text('{"x": {"y": 1.5}, "name": "z", "list": [1]}', "utf-8")
    (project / "b.json").write_text('[{"steps": 1}]', "utf-8")
    first = sh(project, "git", "rev-parse", "HEAD")
    sh(project, "git", "add", "a.json", "b.json")
    sh(project, "git", "commit", "-q", "-m", "metrics")
    (project / "a.json").write_text('{"x": {"y": 2.5}}', "utf-8")
    assert metrics_at(project, "HEAD", paths) == {"x.y": 1.5}
    assert metrics_here(project, paths) == {"x.y": 2.5}
    assert metrics_at(project, first, paths) == {}
    assert metrics_here(project, ["d.json"]) == {}


@pytest.mark.parametrize("text", ["{", ""])
def test_metrics_that_are_no_json_are_as_good_as_none(project: Path, text: str) -> None:
    (project / "a.json").write_text(text, "utf-8")
    sh(project, "git", "add", "a.json")
    sh(project, "git", "commit", "-q", "-m", "metrics")
    assert metrics_at(project, "HEAD", ["a.json"]) == {}
