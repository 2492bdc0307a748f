"""The diagnosis on the page: two charts in words, and the same as numbers."""

from __future__ import annotations

import re
from dataclasses import replace

from report.conftest import made_up_diagnosis
from report.page_reader import Reader

from semflow.evaluation.results import StateFigures
from semflow.report.content import Content
from semflow.report.diagnosis import by_deviation, shares_chart, states_chart
from semflow.report.formats import NOTHING
from semflow.report.page import render_page

SPACE = "\N{NO-BREAK SPACE}"


def spoken(drawing: str) -> str:
    """A drawing in words."""
    (words,) = re.findall(r'aria-label="([^"]*)"', drawing)
    return str(words)


def test_the_curves_over_t_say_their_numbers() -> None:
    chart = states_chart(made_up_diagnosis())
    assert [name for _, name in chart.legend] == [
        "From the true state",
        "From the solver's own state",
    ]
    assert spoken(chart.drawings[0]) == (
        "mIoU in one step from time t, %. From the true state: 54.1 at 0, 68.2 at 0.16; "
        "From the solver's own state: 54.1 at 0, 31.5 at 0.16."
    )


def test_channels_stand_by_falling_deviation() -> None:
    assert by_deviation(made_up_diagnosis()) == [2, 1, 0, 3]


def test_shares_are_told_by_their_median_and_range_and_true_images_are_the_level() -> None:
    chart = shares_chart(made_up_diagnosis())
    names = [name.replace(SPACE, " ") for _, name in chart.legend]
    assert names == ["2 steps", "25 steps", "True images 100.0"]
    # The median of four is the mean of the middle two: 19 and 35, 86 and 95.
    assert spoken(chart.drawings[0]).replace(SPACE, " ") == (
        "Latents' deviation that syntheses keep, %. 2 steps: median 27.0, from 4.1 to 48.0; "
        "25 steps: median 90.5, from 70.0 to 123.4."
    )


def test_what_could_not_be_measured_has_no_point_and_a_line_of_nothing_is_not_drawn() -> None:
    states = [StateFigures(t=0.0, miou_from_true=None, miou_from_own=0.25)]
    shares = {1: [None, None], 2: [None, 0.5]}
    changes = {"states": states, "image_deviations": [0.0, 1.0], "surviving_shares": shares}
    diagnosis = made_up_diagnosis().model_copy(update=changes)
    assert [name for _, name in states_chart(diagnosis).legend] == ["From the solver's own state"]
    assert "2 steps: median 50.0" in spoken(shares_chart(diagnosis).drawings[0]).replace(SPACE, " ")
    nothing = diagnosis.model_copy(update={"states": [], "surviving_shares": {1: [None, None]}})
    assert (states_chart(nothing).drawings, shares_chart(nothing).drawings) == ([], [])


def test_the_page_shows_both_charts_and_the_same_as_numbers(content: Content) -> None:
    page = render_page(content)
    reader = Reader(page)
    section = page[page.index('id="diagnosis"') : page.index('id="training"')]
    assert section.count('role="img"') == 2
    assert f"on 77{SPACE}test samples" in reader.text
    assert f"where 25{SPACE}Euler steps have come" in reader.text
    curves = reader.table("mIoU in one step")
    assert curves.row("0.16") == ["68.2", "31.5"]
    table = reader.table("Deviation of image latents")
    assert [name.replace(SPACE, " ") for name in table.columns[2:]] == ["2 steps%", "25 steps%"]
    assert [row[0] for row in table.rows] == ["2", "1", "0", "3"]
    assert table.row("2") == ["3.742", "48.0", "95.0"]


def test_a_channel_without_a_share_has_a_dash(content: Content) -> None:
    shares = {2: [None, 0.35, 0.48, 0.041]}
    diagnosis = made_up_diagnosis().model_copy(update={"surviving_shares": shares})
    metrics = content.metrics.model_copy(update={"diagnosis": diagnosis})
    table = Reader(render_page(replace(content, metrics=metrics))).table("Deviation of image")
    assert table.row("0") == ["0.2828", NOTHING]


def test_metrics_of_a_version_without_a_diagnosis_have_a_page_without_it(content: Content) -> None:
    metrics = content.metrics.model_copy(update={"diagnosis": None})
    page = render_page(replace(content, metrics=metrics))
    assert "Diagnosis" not in Reader(page).text
    assert "#diagnosis" not in page
