"""Charts: what is drawn where, in whose colours."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semflow.report.bars import class_bars
from semflow.report.charts import Axis, Chart, evaluations_chart, linear_chart
from semflow.report.formats import Color
from tools.closure import ROOT, imports_of

CLASSES: list[tuple[str, Color]] = [
    ("water", (0, 0, 1)),
    ("ice", (240, 248, 255)),
    ("bush", (30, 150, 40)),
]
IOUS: dict[str, list[float | None]] = {
    "one": [0.5, 1.0, None],
    "two": [0.25, 0.0, None],
    "three": [0.125, None, 0.0],
}


def curve(from_zero: bool = False) -> Chart:
    lines = {"flow": [(1, 52.0), (2, 47.0), (25, 28.0)], "peer": [(1, 40.0), (5, 30.0)]}
    return evaluations_chart(
        "mIoU", lines, {"U-Net": 55.0}, lambda value: f"{value:.1f}", from_zero
    )


def bars() -> Chart:
    return class_bars("IoU", CLASSES, IOUS, ["bush"])


def drawn(chart: Chart) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(drawing) for drawing in chart.drawings]


def texts(element: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in element.iter("text")]


def bar_lengths(element: ElementTree.Element) -> list[float]:
    """How wide the closed outlines of a drawing are, in pixels; swatches are 12 wide."""
    outlines = [path.get("d", "").strip() for path in element.iter("path")]
    widths = []
    for outline in (each for each in outlines if each.endswith("z")):
        xs = [float(x) for x, _ in re.findall(r"(-?[\d.]+) (-?[\d.]+)", outline)]
        widths.append(round(max(xs) - min(xs), 2))
    return [width for width in widths if width != 12]


def test_only_the_first_line_has_its_numbers_beside_its_points() -> None:
    (drawing,) = drawn(curve())
    numbers = [group for group in drawing.iter("g") if group.get("class") == "number"]
    assert [texts(group) for group in numbers] == [["52.0"], ["47.0"], ["28.0"]]


def test_the_axis_names_every_number_of_evaluations() -> None:
    (drawing,) = drawn(curve())
    assert texts(drawing)[:4] == ["1", "2", "5", "25"]


def test_an_axis_begins_at_zero_where_it_must() -> None:
    (near,), (from_zero,) = drawn(curve()), drawn(curve(from_zero=True))
    assert "20" in texts(near)
    assert "0" not in texts(near)
    assert "0" in texts(from_zero)


def test_a_curve_says_all_its_numbers_in_words() -> None:
    (drawing,) = drawn(curve())
    assert drawing.get("role") == "img"
    assert drawing.get("aria-label") == (
        "mIoU, by network evaluations. flow: 52.0 at 1, 47.0 at 2, 28.0 at 25; peer: 40.0 at 1, "
        "30.0 at 5; U-Net: 55.0."
    )


def test_a_legend_names_lines_and_levels_with_marks_of_their_own() -> None:
    legend = curve().legend
    assert [name for _, name in legend] == ["flow", "peer", "U-Net 55.0"]
    assert len({mark for mark, _ in legend}) == 3
    for mark, _ in legend:
        assert ElementTree.fromstring(mark).get("aria-hidden") == "true"


def test_a_mean_number_of_evaluations_is_written_with_one_decimal() -> None:
    lines = {"flow": [(1.0, 52.0), (25.0, 28.0)], "adaptive": [(43.1875, 30.0)]}
    (drawing,) = drawn(evaluations_chart("mIoU", lines, {}, str))
    assert texts(drawing)[:3] == ["1", "25", "43.2"]
    assert "adaptive: 30.0 at 43.2." in drawing.attrib["aria-label"]


def test_one_number_of_steps_and_one_value_are_enough() -> None:
    chart = evaluations_chart("title", {"flow": [(4, 0.0)]}, {}, str)
    assert "4" in texts(drawn(chart)[0])


@settings(max_examples=15)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_every_value_lies_inside_the_drawing(low: float, span: float) -> None:
    lines = {"flow": [(1, low), (10, low + span)]}
    (drawing,) = drawn(evaluations_chart("title", lines, {"level": low + span / 2}, str))
    _, _, width, height = map(float, drawing.attrib["viewBox"].split())
    for mark in [*drawing.iter("use"), *drawing.iter("text")]:
        assert 0 <= float(mark.attrib["x"]) <= width
        assert 0 <= float(mark.attrib["y"]) <= height


def over_time() -> Chart:
    lines = {"true": [(0.0, 20.0), (0.5, 60.0), (0.75, 80.0)], "own": [(0.0, 20.0)]}
    axis = Axis("t", (0.0, 0.5, 1.0))
    return linear_chart("mIoU over t", axis, lines, {}, str, "In words.")


def test_a_linear_axis_has_its_own_ticks_and_puts_points_in_proportion() -> None:
    (drawing,) = drawn(over_time())
    assert texts(drawing)[:4] == ["0", "0.5", "1", "t"]
    assert drawing.get("aria-label") == "In words."
    marks = [(float(mark.attrib["x"]), float(mark.attrib["y"])) for mark in drawing.iter("use")]
    # Ticks lie below all lines, and the first line above the others.
    single, first, second, third = marks[-4:]
    assert second[0] - first[0] == pytest.approx(2 * (third[0] - second[0]))
    assert first[1] - second[1] == pytest.approx(2 * (second[1] - third[1]))
    assert single == first


def test_a_linear_axis_of_one_place_and_none_without_a_line() -> None:
    axis = Axis("channel", (1.0,))
    chart = linear_chart("title", axis, {"one": [(1.0, 3.0)]}, {"level": 4.0}, str, "")
    assert "1" in texts(drawn(chart)[0])
    assert [name for _, name in chart.legend] == ["one", "level 4.0"]
    assert linear_chart("title", axis, {}, {"level": 4.0}, str, "").drawings == []


def test_bars_are_as_long_as_their_ious_and_absent_classes_have_none() -> None:
    first, second = drawn(bars())
    whole = 440 - 52  # the drawing without its margins
    # Hatching is drawn over the second bar of each class.
    lengths = [0.5, 0.25, 0.25, 0.125, 1.0, 0.0, 0.0, 0.0]
    assert bar_lengths(first) == [pytest.approx(length * whole, abs=0.02) for length in lengths]
    assert texts(first) == ["water", "50.0", "25.0", "12.5", "ice", "100.0", "0.0", "\N{EN DASH}"]
    assert bar_lengths(second) == []
    assert texts(second) == ["bush", "does not occur in the tested labels"]


def test_bars_say_all_their_numbers_in_words() -> None:
    first, _ = drawn(bars())
    assert first.get("aria-label") == (
        "IoU, by one, two, three: water 50.0, 25.0, 12.5; ice 100.0, 0.0, \N{EN DASH}."
    )


def test_class_colours_are_the_data_set_s_and_all_others_the_page_s() -> None:
    first, second = bars().drawings
    # A class colour that is also one of the numbers that stand for colours while drawing.
    assert "rgb(0, 0, 1)" in first
    assert "rgb(240, 248, 255)" in first
    assert "rgb(30, 150, 40)" in second
    everything = " ".join([first, second, *curve().drawings])
    colors = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", everything))
    kept = {"none", "#444", "#fff"}
    assert {c for c in colors - kept if not re.match(r"var\(--\w+\)|rgb\(|url\(#", c)} == set()
    assert "var(--ink)" in colors


def test_drawings_of_one_page_share_no_ids_and_refer_to_their_own() -> None:
    charts = [curve(), bars()]
    seen: set[str] = set()
    for svg in [
        *(d for c in charts for d in c.drawings),
        *(m for c in charts for m, _ in c.legend),
    ]:
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) <= set(ids)
        seen |= set(ids)
    assert seen


def test_drawings_carry_no_trace_of_when_and_by_what_they_were_made() -> None:
    for svg in (*curve().drawings, *bars().drawings):
        assert (
            re.search(r"metadata|<style|https?:|DejaVu|[Mm]atplotlib|\d{4}-\d\d-\d\d", svg) is None
        )


def test_another_process_with_settings_of_its_own_draws_the_same_bytes() -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import matplotlib; matplotlib.rcParams.update({'font.size': 30, 'axes.grid': False,"
        " 'svg.fonttype': 'path', 'lines.linewidth': 9})\n"
        "from report.test_charts import bars, curve\n"
        "print(*curve().drawings, *bars().drawings, *(mark for mark, _ in bars().legend))\n"
        "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    here = [*curve().drawings, *bars().drawings, *(mark for mark, _ in bars().legend)]
    assert other.stdout == " ".join(here) + "\n"


def test_names_are_drawn_as_they_are_written() -> None:
    name = "<$a_b$> & 浴 _x"
    chart = class_bars("IoU", [(name, (1, 2, 3))], {"one": [0.5]}, [])
    (drawing,) = drawn(chart)
    assert texts(drawing)[0] == name
    assert "<$" not in chart.drawings[0]


def test_bars_refuse_more_segmenters_than_they_can_tell_apart() -> None:
    with pytest.raises(ValueError, match="styles of bars"):
        class_bars("title", [], {name: [] for name in "abcd"}, [])


def test_bars_refuse_a_segmenter_with_too_few_values() -> None:
    with pytest.raises(ValueError, match="zip"):
        class_bars("title", CLASSES, {"one": [0.5]}, [])


def test_matplotlib_is_imported_by_the_charts_alone() -> None:
    importing = [
        path.relative_to(ROOT).as_posix()
        for folder in ("semflow", "stages", "flows")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if any(name.split(".")[0] == "matplotlib" for name in imports_of(path))
    ]
    assert importing == [f"semflow/report/{name}.py" for name in ("bars", "charts", "svg")]
