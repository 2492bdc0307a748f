"""The parts that a page is put together from."""

import base64
import io
import json
import struct
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML
from support.tiny import shard_folder

from semflow.report.bars import ClassBars, class_bars
from semflow.report.charts import StepsChart, nice_ticks, steps_chart
from semflow.report.examples import make_examples
from semflow.report.formats import compared, counted, listed, percent, writer_for
from semflow.report.gallery import agreement, described
from semflow.report.markup import Row, element, picture, table
from semflow.report.provenance import yaml_lines
from semflow.report.schema import ReportParams
from semflow.report.weights import weight_files
from semflow.schema import DatasetParams
from semflow.shards.tar import ShardFolder, png_bytes


class OneElement(HTMLParser):
    """What a parser makes of an element: its title and its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.title: str | None = None
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "p"
        self.title = dict(attrs)["title"]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_any_text_survives_an_element_and_its_attributes(text: str) -> None:
    parsed = OneElement(element("p", text, title=text))
    assert parsed.text == text
    assert parsed.title == text


def test_an_element_that_cannot_have_children_refuses_them() -> None:
    with pytest.raises(ValueError, match="no children"):
        element("img", "text")


def test_an_attribute_may_be_left_out_or_bare() -> None:
    markup = element("details", open=True, hidden=False, title=None, class_="a", tabindex=0)
    assert markup == '<details open class="a" tabindex="0"></details>'


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells, 2 columns"):
        table("caption", ["a", "b", "c"], [[Row("head", ["only"])]])


def test_a_picture_carries_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    markup = picture(pixels, "noise")
    data = markup.split("base64,")[1].split('"')[0]
    decoded = Image.open(io.BytesIO(base64.b64decode(data)))
    np.testing.assert_array_equal(np.asarray(decoded), pixels)
    assert 'width="7" height="5"' in markup


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
)
def test_ticks_cover_the_values_evenly_and_are_few(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    steps = np.diff(ticks)
    slack = 1e-6 * (steps[0] + abs(low))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= low + span - slack
    assert np.allclose(steps, steps[0], rtol=1e-3, atol=slack)
    assert 2 <= len(ticks) <= 8


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_ticks_of_one_value_still_span_an_axis(value: float) -> None:
    ticks = nice_ticks(value, value)
    assert ticks[0] <= value <= ticks[-1]
    assert ticks[0] < ticks[-1]


def test_a_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a point"):
        steps_chart(StepsChart("title", "series", [], [], str))


def test_bars_refuse_more_segmenters_than_they_can_tell_apart() -> None:
    with pytest.raises(ValueError, match="bar styles"):
        class_bars("title", ["a", "b", "c", "d"], [])


def test_bars_refuse_a_class_with_too_few_values() -> None:
    with pytest.raises(ValueError, match="1 IoUs, 2 segmenters"):
        class_bars("title", ["a", "b"], [ClassBars("ice", (1, 2, 3), [0.5], occurs=True)])


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    write = writer_for([123.456, 7.0])
    assert [write(123.456), write(7.0), write(-0.25)] == ["123.5", "7.0", "\N{MINUS SIGN}0.2"]
    assert writer_for([0.0421])(0.0421) == "0.04210"
    assert writer_for([98765.4])(98765.4) == "98765"
    assert writer_for([0.0])(0.0) == "0.000"


def test_undefined_percentages_are_dashes() -> None:
    assert percent(None) == "\N{EN DASH}"
    assert percent(0.4826) == "48.3"


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [(0.5, 0.45, "5.0 points above"), (0.45, 0.5, "5.0 points below"), (0.5, 0.5, "level with")],
)
def test_comparisons_are_in_points(one: float, other: float, words: str) -> None:
    assert compared(one, other) == words


def test_counts_agree_with_their_noun() -> None:
    assert counted(1, "step") == "1\N{NO-BREAK SPACE}step"
    assert counted(1500, "step") == "1,500\N{NO-BREAK SPACE}steps"


def test_words_are_listed_as_a_phrase() -> None:
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_agreement_leaves_out_pixels_without_a_class() -> None:
    label = np.array([[0, 1], [255, 2]], np.uint8)
    assert agreement(np.array([[0, 1], [2, 0]], np.uint8), label) == pytest.approx(2 / 3)
    assert agreement(label, np.full((2, 2), 255, np.uint8)) is None


def test_a_label_map_is_described_by_its_most_frequent_classes() -> None:
    label = np.array([[0, 0, 0, 1], [1, 2, 255, 0]], np.uint8)
    described_classes = described(label, ["water", "forest", "ice"])
    assert described_classes == "water 50 %, forest 25 %, ice 12 % and no class 12 %"


def test_parameters_read_back_from_the_page_s_text(params: DatasetParams) -> None:
    block = {"earth": params.model_dump(mode="json")}
    assert YAML(typ="safe").load("\n".join(yaml_lines(block))) == block


def test_weight_files_are_listed_in_order_with_what_they_hold(tmp_path: Path) -> None:
    shapes = {"vae": [3, 4], "unet": [2, 5, 7]}
    for name, shape in shapes.items():
        header = json.dumps(
            {
                "__metadata__": {"format": "pt"},
                "w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]},
            }
        ).encode()
        (tmp_path / name).mkdir()
        content = struct.pack("<Q", len(header)) + header
        (tmp_path / name / "model.safetensors").write_bytes(content)
    files = weight_files(tmp_path)
    assert [(file.name, file.values) for file in files] == [
        ("unet/model.safetensors", 70),
        ("vae/model.safetensors", 12),
    ]
    assert len({file.sha256 for file in files}) == 2


class Mirror:
    """Stands in for a checkpoint: segments by the red channel, synthesizes the seed."""

    config = SimpleNamespace()

    def segment(self, image: Image.Image) -> list[np.ndarray]:
        return [np.asarray(image)[:, :, 0] % 3]

    def synthesize(self, label: np.ndarray, seed: int) -> list[Image.Image]:
        return [Image.fromarray(np.full((*label.shape, 3), seed, np.uint8))]


def test_examples_hold_a_synthesis_for_every_seed(tmp_path: Path) -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    members = {"image.png": png_bytes(image), "label.png": png_bytes(image[:, :, 0] % 2)}
    val = ShardFolder(shard_folder(((f"k{i}", members) for i in range(5)), tmp_path, 2, {}))
    pipeline: Any = Mirror()
    examples = make_examples(pipeline, val, ReportParams(examples=3, seeds=(7, 9)))
    assert [example.key for example in examples] == ["k0", "k2", "k4"]
    for example in examples:
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(example.segmentation, image[:, :, 0] % 3)
        assert [int(picture.max()) for picture in example.syntheses] == [7, 9]
