"""What a training has logged, as charts and as numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report.page_reader import Reader

from semflow.report.charts import round_ticks
from semflow.report.content import Content
from semflow.report.page import render_page
from semflow.report.training_curves import MOST_ROWS, loss_chart, means, rate_chart, table
from semflow.training.curve import TrainingCurve


def falling(count: int) -> TrainingCurve:
    steps = [10 * number for number in range(1, count + 1)]
    return TrainingCurve(steps=steps, values={"loss": [float(step) for step in steps]})


def test_few_values_stay_as_they_are_and_many_become_means_of_neighbours() -> None:
    assert means(falling(4), "loss", 4) == [(10, 10), (20, 20), (30, 30), (40, 40)]
    # Five values in runs of two: the last run is a value alone.
    assert means(falling(5), "loss", 4) == [(20, 15), (40, 35), (50, 50)]
    assert len(means(falling(1000), "loss", 60)) <= 60


def test_charts_say_where_each_line_begins_ends_and_is_lowest(content: Content) -> None:
    assert content.curve is not None
    losses, rate = loss_chart(content.curve), rate_chart(content.curve)
    assert [name for _, name in losses.legend] == [
        "All terms, weighted",
        "Velocity (Eq. 10)",
        "Anchors",
    ]
    said = "All terms, weighted: 2.5 at step 50, 1.5 at step 150, lowest 1.25 at step 100;"
    assert said in losses.drawings[0]
    assert rate.title == "Learning rate by training step, in units of 0.001"
    assert "Learning rate: 2 at step 50, 0 at step 150, lowest 0" in rate.drawings[0]
    still = TrainingCurve(steps=[1], values={"learning_rate": [0.0]})
    assert rate_chart(still).drawings == []


def test_many_points_are_a_line_without_marks() -> None:
    def marks(count: int) -> int:
        """How often a mark is drawn."""
        return str(loss_chart(falling(count)).drawings[0]).count("<use")

    assert marks(20) == 20
    assert marks(50) == 0


def test_the_table_has_known_values_first_and_few_rows(content: Content) -> None:
    assert content.curve is not None
    names, rows = table(content.curve)
    assert names == ["All terms, weighted", "Velocity (Eq. 10)", "Anchors", "Learning rate"]
    assert rows[1] == ("100", ["1.25", "0.5", "0.25", "0.001"])
    odd = TrainingCurve(steps=[1], values={"zeal": [1.0], "awe": [2.0], "loss": [3.0]})
    assert table(odd) == (["All terms, weighted", "awe", "zeal"], [("1", ["3", "2", "1"])])
    assert len(table(falling(500))[1]) <= MOST_ROWS


@pytest.mark.parametrize(
    ("last", "expected"),
    [(12, [0, 5, 10, 15]), (3600, [0, 1000, 2000, 3000, 4000]), (1, [0, 1])],
)
def test_ticks_are_round_and_reach_the_last_step(last: int, expected: list[float]) -> None:
    assert round_ticks(last) == expected


def test_the_page_has_the_curves_and_the_same_as_numbers(content: Content) -> None:
    reader = Reader(render_page(content))
    assert reader.table("Logged values").row("150") == ["1.5", "0.375", "0.125", "0"]
    assert "logged at 3 of its steps" in reader.text


@pytest.mark.parametrize("curve", [None, TrainingCurve(steps=[], values={})])
def test_a_checkpoint_without_a_curve_has_a_page_without_the_section(
    content: Content, curve: TrainingCurve | None
) -> None:
    page = render_page(replace(content, curve=curve))
    assert "training step" not in page
    assert "#training" not in page
