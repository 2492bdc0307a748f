"""The rendered page, read back as a browser would."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from report.page_reader import Reader, as_number

from semflow.core.errors import UserError
from semflow.evaluation.results import InceptionScores, Metrics, System
from semflow.params.reading import read_block
from semflow.report.content import Content
from semflow.report.extremes import Extremes
from semflow.report.page import render_page
from semflow.training.curve import TrainingCurve
from tools.closure import ROOT

NOTHING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"


def floats_in(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from floats_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from floats_in(inner)


def without_class(metrics: Metrics, index: int) -> Metrics:
    """The same metrics where a class has no label and only the colour classifier predicts it."""
    value = metrics.model_dump()
    results = [*value["segmentation"]["by_steps"].values(), value["baselines"]["unet"]]
    results += value["systems"]["semflow"]["segmentation"].values()
    for result in results:
        result["iou_per_class"][index] = None
    value["baselines"]["color_classifier"]["iou_per_class"][index] = 0.0
    return Metrics.model_validate(value)


def test_every_number_of_the_metrics_stands_in_a_table(content: Content) -> None:
    shown = Reader(render_page(content)).numbers()
    missing = [
        value
        for value in floats_in(content.metrics.model_dump(mode="json"))
        if not any(abs(n - value) < 1e-3 or abs(n - 100 * value) < 0.051 for n in shown)
    ]
    assert missing == []


def test_counts_and_resolution_of_the_evaluation_are_stated(content: Content) -> None:
    text = Reader(render_page(content)).text.replace(SPACE, " ")
    for stated in ("1,024 test images", "1,023 real images", "48 × 64 pixels"):  # noqa: RUF001
        assert stated in text


def test_each_row_of_the_segmentation_table_holds_its_own_scores(content: Content) -> None:
    table = Reader(render_page(content)).table("Segmentation of")
    assert table.row(f"SemFlow, Euler, 1{SPACE}") == ["21.1", "76.1", "1"]
    assert table.row("SemFlow, Euler, 25") == ["22.5", "77.5", "25"]
    assert table.row("U-Net") == ["33.3", "88.3", NOTHING]
    assert table.row("Colour classifier") == ["13.1", "68.1", NOTHING]
    assert table.row("Oracle") == ["97.3", "99.1", NOTHING]


def test_the_colour_classifiers_blur_is_stated(content: Content, metrics: Metrics) -> None:
    said = "after a blur of 2 pixels"
    assert said not in Reader(render_page(content)).text
    blurred = metrics.baselines["color_classifier"].model_copy(update={"blur": 2.0})
    baselines = {**metrics.baselines, "color_classifier": blurred}
    found = replace(content, metrics=metrics.model_copy(update={"baselines": baselines}))
    assert Reader(render_page(found)).text.count(said) == 1


def test_each_column_of_the_class_table_is_of_its_own_segmenter(content: Content) -> None:
    table = Reader(render_page(content)).table("IoU by class")
    assert [name.replace(SPACE, " ") for name in table.columns] == [
        "Class",
        "SemFlow, Euler, 1 step",
        "SemFlow, Euler, 2 steps",
        "SemFlow, Euler, 25 steps",
        "U-Net",
        "Colour classifier",
    ]
    assert table.row("water") == ["31.1", "31.8", "32.5", "43.3", "23.1"]
    assert table.row("<ice>") == ["51.1", "51.8", "52.5", "63.3", "43.1"]


def test_bars_are_of_the_default_steps_and_both_baselines(content: Content) -> None:
    page = render_page(content)
    (bars,) = re.findall(r"<svg[^>]*IoU by class[^>]*: water.*?</svg>", page, flags=re.DOTALL)
    values = [text.text for text in ElementTree.fromstring(bars).iter("text")]
    assert values[:4] == ["water", "31.8", "43.3", "23.1"]


def test_each_row_of_the_synthesis_table_holds_its_own_scores(content: Content) -> None:
    table = Reader(render_page(content)).table("Synthesis from")
    assert table.row("SemFlow, Euler, 1") == ["41.90", "0.04190", "0.4500", "47.1", "49.2", "1"]
    assert table.row("SemFlow, Euler, 5") == ["31.00", "0.03100", "0.3410", "36.2", "38.3", "5"]


def test_figures_have_their_intervals_beside_them_and_say_what_was_drawn_anew(
    content: Content,
) -> None:
    assert "intervals" not in Reader(render_page(content)).text
    scored = content.metrics.segmentation.by_steps[2].model_copy(
        update={"miou_interval": (0.1874, 0.2515), "pixel_accuracy_interval": (0.6, 0.9)}
    )
    made = content.metrics.synthesis.by_steps[5].model_copy(
        update={"fd_mobilenetv2_interval": (28.0, 36.5), "roundtrip_miou_unet_interval": (0.3, 0.4)}
    )
    system = System(segmentation={"euler-2": scored}, synthesis={"euler-5": made})
    segmentation = content.metrics.segmentation.model_copy(update={"miou_interval": (0.1, 0.3)})
    changes = {"systems": {"semflow": system}, "segmentation": segmentation}
    reader = Reader(
        render_page(replace(content, metrics=content.metrics.model_copy(update=changes)))
    )
    row = reader.table("Segmentation of").row("SemFlow, Euler, 2")
    assert row == ["21.8 [18.7, 25.1]", "76.8 [60.0, 90.0]", "2"]
    row = reader.table("Synthesis from").row("SemFlow, Euler, 5")
    assert row == ["31.00 [28.00, 36.50]", "0.03100", "0.3410", "36.2 [30.0, 40.0]", "38.3", "5"]
    assert f"4{SPACE}groups of tested images (blocks of longitude)" in reader.text


def test_the_painter_has_a_row_without_steps_and_a_level_in_both_charts(content: Content) -> None:
    made = content.metrics.synthesis.by_steps[5].model_copy(
        update={"fd_mobilenetv2": 98.7, "evaluations": None}
    )
    painter = System(segmentation={}, synthesis={"mean": made})
    systems = {**content.metrics.systems, "painter": painter}
    page = render_page(
        replace(content, metrics=content.metrics.model_copy(update={"systems": systems}))
    )
    row = Reader(page).table("Synthesis from").row("Painter, each class in its mean colour")
    assert row[0] == "98.70"
    spoken = [tag.get("aria-label") or "" for name, tag in Reader(page).tags if name == "svg"]
    level = "; Painter, each class in its mean colour: "
    found = {text.split(", by")[0]: text.split(level)[1:] for text in spoken if level in text}
    assert found == {
        "FD-MobileNetV2 by network evaluations": ["98.70."],
        "Round-trip mIoU by network evaluations, %": ["36.2."],
    }


def test_the_floor_has_a_row_of_real_images(content: Content) -> None:
    floor = Reader(render_page(content)).table("Synthesis from").row("Floor")
    assert [as_number(cell) for cell in floor[:2]] == [7.77, -0.0012]
    assert floor[2:] == [NOTHING, "33.3", "21.8", NOTHING]


def test_default_steps_are_marked_in_both_tables(content: Content) -> None:
    reader = Reader(render_page(content))
    for start, steps in (("Segmentation of", "2"), ("Synthesis from", "5")):
        (head,) = [row[0] for row in reader.table(start).rows if "default" in row[0]]
        assert f"{steps}{SPACE}steps" in head


def test_training_is_told_as_the_checkpoint_notes_it_and_else_as_the_file_has_it(
    content: Content,
) -> None:
    noted = Reader(render_page(content)).text.replace(SPACE, " ")
    assert "700 steps of 11 samples from random weights" in noted
    assert "7,700, 3.9 times the training split" in noted
    train = content.block["train"]
    seen = f"{train['steps'] * train['batch_size']:,}"
    assert seen in Reader(render_page(replace(content, provenance=None))).text


def test_a_parameter_that_is_missing_is_named(content: Content) -> None:
    block = {**content.block, "evaluate": {}}
    with pytest.raises(UserError, match=r"earth\.evaluate\.reference is missing; add it"):
        render_page(replace(content, block=block))


def test_further_systems_and_samplers_have_rows_columns_and_lines_of_their_own(
    content: Content,
) -> None:
    figures = content.metrics.segmentation.by_steps[2].model_copy(
        update={"miou": 0.4321, "evaluations": 3}
    )
    made = content.metrics.synthesis.by_steps[5].model_copy(
        update={"fd_mobilenetv2": 12.34, "evaluations": 10}
    )
    own = content.metrics.systems["semflow"]
    systems = {
        "bbdm": System(segmentation={}, synthesis={"sde-10": made}),
        "dsm": System(segmentation={"euler-3": figures}, synthesis={}),
        "semflow": own.model_copy(update={"segmentation": {**own.segmentation, "ab-4": figures}}),
    }
    metrics = content.metrics.model_copy(update={"systems": systems})
    page = render_page(replace(content, metrics=metrics))
    reader = Reader(page)
    segmented = reader.table("Segmentation of")
    heads = [row[0].split(SPACE)[0] for row in segmented.rows]
    euler = [f"SemFlow, Euler, {steps}" for steps in (1, 2, 25)]
    assert heads[:5] == [*euler, "SemFlow, ab, 4", "DSM, Euler, 3"]
    assert segmented.row("DSM")[0] == "43.2"
    assert f"DSM, Euler, 3{SPACE}steps" in reader.table("IoU by class").columns
    assert reader.table("Synthesis from").row("BBDM, sde, 10")[0] == "12.34"
    spoken = [tag["aria-label"] or "" for name, tag in reader.tags if "aria-label" in tag]
    assert any(
        "by network evaluations" in words and "DSM, Euler: 43.2 at 3" in words for words in spoken
    )
    assert any("BBDM, sde: 12.34 at 10" in words for words in spoken)


def test_the_adaptive_solver_stands_beside_the_steps_by_what_it_costs(content: Content) -> None:
    figures = content.metrics.segmentation.by_steps[2]
    own = content.metrics.systems["semflow"]
    adaptive = {"miou": 0.4321, "evaluations": 43.1875, "tolerance": 1e-5}
    segmentation = {**own.segmentation, "dopri5": figures.model_copy(update=adaptive)}
    systems = {"semflow": own.model_copy(update={"segmentation": segmentation})}
    metrics = content.metrics.model_copy(update={"systems": systems})
    reader = Reader(render_page(replace(content, metrics=metrics)))
    table = reader.table("Segmentation of")
    assert table.columns[-1].startswith("Network evaluations")
    assert table.row("SemFlow, Runge-Kutta 5(4), tolerance 1e-05")[0] == "43.2"
    assert table.row("SemFlow, Runge-Kutta 5(4), tolerance 1e-05")[-1] == "43.2"
    spoken = [tag["aria-label"] or "" for name, tag in reader.tags if "aria-label" in tag]
    assert any("SemFlow, Runge-Kutta 5(4): 43.2 at 43.2" in words for words in spoken)


def test_distances_by_a_preset_have_a_table_where_they_were_measured(
    content: Content, scores: InceptionScores
) -> None:
    captions = [table.caption for table in Reader(render_page(content)).tables]
    assert not any("Preset" in caption for caption in captions)
    synthesis = content.metrics.synthesis.model_copy(update={"protocol": scores})
    metrics = content.metrics.model_copy(update={"synthesis": synthesis})
    table = Reader(render_page(replace(content, metrics=metrics))).table("Preset sis256")
    caption = "Preset sis256: 2,000 images against 500 photos at 256 \N{MULTIPLICATION SIGN} 512"
    assert table.caption.replace(SPACE, " ").startswith(caption)
    assert table.row("Syntheses") == ["35.12", "0.01234", "0.41", NOTHING]
    assert table.row("Floor") == ["4.5", NOTHING, NOTHING, NOTHING]


def test_page_refers_to_nothing_outside_itself(content: Content) -> None:
    page = render_page(content)
    assert re.search(r"https?:|@import|<script|<iframe", page) is None
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or re.match(r"data:|#", value), f"<{tag} {name}={value!r}>"
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_links_inside_the_page_have_a_target(content: Content) -> None:
    page = render_page(content)
    ids = [attributes["id"] for _, attributes in Reader(page).tags if "id" in attributes]
    targets = re.findall(r'(?:href="#|url\(#)([\w-]+)', page)
    assert len(ids) == len(set(ids))
    assert set(targets) <= set(ids)


def test_pictures_and_charts_have_words_for_those_who_cannot_see_them(content: Content) -> None:
    for tag, attributes in Reader(render_page(content)).tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"


def test_header_cells_say_what_they_head(content: Content) -> None:
    heads = [attributes for tag, attributes in Reader(render_page(content)).tags if tag == "th"]
    assert heads
    assert all(head["scope"] in ("col", "row") for head in heads)


def test_same_content_gives_the_same_page(content: Content) -> None:
    again = replace(content, metrics=Metrics.model_validate(content.metrics.model_dump()))
    assert render_page(content) == render_page(again)


def test_order_of_metrics_in_their_file_changes_nothing(content: Content) -> None:
    value = content.metrics.model_dump()
    value["baselines"] = dict(reversed(value["baselines"].items()))
    for direction in ("segmentation", "synthesis"):
        by_steps = value[direction]["by_steps"]
        value[direction]["by_steps"] = dict(reversed(by_steps.items()))
    own = value["systems"]["semflow"]
    for direction, runs in own.items():
        own[direction] = dict(reversed(runs.items()))
    turned = replace(content, metrics=Metrics.model_validate(value))
    assert render_page(turned) == render_page(content)


@pytest.mark.parametrize("hostile", ["\x1b[2Jwater", "\ud800", "$\\frac$", "\0"])
def test_a_class_whose_name_no_drawing_takes_stops_no_page(content: Content, hostile: str) -> None:
    metrics = content.metrics.model_copy(
        update={"classes": [hostile, *content.metrics.classes[1:]]}
    )
    Reader(render_page(replace(content, metrics=metrics))).text.encode()


def test_names_are_escaped_wherever_they_stand(content: Content) -> None:
    hostile = '"><script>alert(1)</script>&'
    examples = (replace(content.examples[0], key=hostile),)
    metrics = content.metrics.model_copy(
        update={
            "classes": [hostile, *content.metrics.classes[1:]],
            "systems": {**content.metrics.systems, hostile: content.metrics.systems["semflow"]},
        }
    )
    block = {**content.block, hostile: hostile}
    curve = TrainingCurve(steps=[1], values={hostile: [1.0]})
    told = replace(
        content,
        dataset=hostile,
        block=block,
        metrics=metrics,
        examples=examples,
        films=(replace(content.films[0], key=hostile),),
        extremes=Extremes((replace(content.extremes.worst[0], key=hostile),), ()),
        curve=curve,
    )
    reader = Reader(render_page(told))
    assert "script" not in {tag for tag, _ in reader.tags}
    assert reader.text.count(hostile) > 10


def test_a_class_that_does_not_occur_is_shown_as_such(content: Content) -> None:
    absent = replace(content, metrics=without_class(content.metrics, 1))
    reader = Reader(render_page(absent))
    assert "Not in any tested label: forest & bush." in reader.text
    assert reader.text.count("does not occur") == 2
    assert reader.table("IoU by class").row("forest & bush") == [*4 * [NOTHING], "0.0"]


def test_all_classes_occurring_is_said_too(content: Content) -> None:
    text = Reader(render_page(content)).text
    assert "Every class occurs in the tested labels." in text
    assert "does not occur" not in text


def test_pixels_without_a_class_have_a_colour_of_their_own_in_the_legend(content: Content) -> None:
    def legend(shown: Content) -> str:
        """The list of the classes' display colours."""
        return render_page(shown).split('<ul class="classes"')[1].split("</ul>")[0]

    assert "no class" not in legend(content)
    label = content.examples[0].label.copy()
    label[0, 0] = 255
    examples = (replace(content.examples[0], label=label),)
    assert "no class" in legend(replace(content, examples=examples))
    worst = (replace(content.extremes.worst[0], label=label),)
    assert "no class" in legend(replace(content, extremes=Extremes(worst, ())))


def test_a_page_without_baselines_still_renders(content: Content) -> None:
    metrics = content.metrics.model_copy(update={"baselines": {}})
    reader = Reader(render_page(replace(content, metrics=metrics)))
    assert reader.table("Synthesis from").row("Floor")[3] == NOTHING


def test_what_could_not_be_measured_is_a_dash_and_no_mark(content: Content) -> None:
    metrics = content.metrics
    nothing = {"miou": None, "pixel_accuracy": None}
    empty = metrics.baselines["unet"].model_copy(update={**nothing, "iou_per_class": [None] * 4})
    by_steps = dict.fromkeys(metrics.segmentation.by_steps, empty)
    own = metrics.systems["semflow"].model_copy(
        update={"segmentation": {f"euler-{steps}": empty for steps in by_steps}}
    )
    segmentation = metrics.segmentation.model_copy(update={**nothing, "by_steps": by_steps})
    unmeasured = metrics.model_copy(
        update={
            "segmentation": segmentation,
            "systems": {"semflow": own},
            "baselines": dict.fromkeys(metrics.baselines, empty),
        }
    )
    reader = Reader(render_page(replace(content, metrics=unmeasured)))
    assert reader.table("Segmentation of").row("U-Net") == [NOTHING, NOTHING, NOTHING]
    spoken = [tag.get("aria-label") or "" for _, tag in reader.tags]
    assert not any(text.startswith("mIoU by network") for text in spoken)
    assert "Not in any tested label: water, forest & bush, <ice>, barren." in reader.text


def test_an_unknown_baseline_is_shown_under_its_own_name(content: Content) -> None:
    baselines = {**content.metrics.baselines, "linear_probe": content.metrics.baselines["unet"]}
    metrics = content.metrics.model_copy(update={"baselines": baselines})
    reader = Reader(render_page(replace(content, metrics=metrics)))
    assert reader.table("Segmentation of").row("linear probe") == ["33.3", "88.3", NOTHING]


def test_one_number_of_steps_is_enough_for_a_page(content: Content) -> None:
    value = content.metrics.model_dump()
    for direction in ("segmentation", "synthesis"):
        block = value[direction]
        block["by_steps"] = {block["steps"]: block["by_steps"][block["steps"]]}
        runs = value["systems"]["semflow"][direction]
        value["systems"]["semflow"][direction] = {
            key: runs[key] for key in [f"euler-{block['steps']}"]
        }
    Reader(render_page(replace(content, metrics=Metrics.model_validate(value))))


def test_the_measure_s_input_size_on_the_page_is_the_one_in_use(content: Content) -> None:
    from semflow.metrics.mobilenet import FEATURE_DIMENSIONS, INPUT_SIZE

    text = Reader(render_page(content)).text
    assert f"{FEATURE_DIMENSIONS:,} features" in text
    assert f"{INPUT_SIZE} \N{MULTIPLICATION SIGN} {INPUT_SIZE} pixels" in text


def test_other_numbers_of_classes_and_colours_are_refused(content: Content) -> None:
    with pytest.raises(ValueError, match="zip"):
        render_page(replace(content, class_colors=content.class_colors[:2]))


def test_the_page_says_what_made_the_checkpoint(content: Content) -> None:
    page = render_page(content)
    for text in ("An &lt;abacus&gt;", "9.8.7", "cd" * 32, "ef" * 32):
        assert text in page
    silent = render_page(replace(content, provenance=None))
    assert "The checkpoint does not say what made it." in silent


def test_all_parameters_are_listed(content: Content) -> None:
    page = render_page(content)
    for text in ("earth:\n", "hold_out_every: 3", "mask_noise: online", "seeds: [0, 1]"):
        assert text in page


def test_browsers_are_told_to_load_nothing(content: Content) -> None:
    policies = [
        attributes["content"]
        for tag, attributes in Reader(render_page(content)).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize(
    ("name", "credited", "told"),
    [
        ("earth", "NASA Earth Observatory", "blocks of longitude"),
        ("robots", "Zikri Kader", "whose design no training robot"),
        ("cityscapes", None, None),
    ],
)
def test_an_embedded_data_set_is_told_of_and_its_makers_are_credited(
    content: Content, name: str, credited: str | None, told: str | None
) -> None:
    block = {**content.block, "index": read_block(name, ROOT / "params.yaml")["index"]}
    text = " ".join(Reader(render_page(replace(content, block=block))).text.split())
    for words in ("NASA Earth Observatory", "Zikri Kader"):
        assert (words in text) == (words == credited)
    for words in ("blocks of longitude", "whose design no training robot"):
        assert (words in text) == (words == told)
    assert ("Credits" in text) == (credited is not None)
