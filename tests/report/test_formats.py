"""Values as text."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from semflow.report.formats import (
    agreement,
    compared,
    counted,
    data_uri,
    described,
    listed,
    percent,
    plain,
    writer_for,
    yaml_text,
)


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    write = writer_for([123.456, 7.0])
    assert [write(123.456), write(7.0), write(-0.25)] == ["123.5", "7.0", "\N{MINUS SIGN}0.2"]
    assert writer_for([0.0421])(0.0421) == "0.04210"
    assert writer_for([98765.4])(98765.4) == "98765"
    assert writer_for([0.0])(0.0) == "0.000"


def test_undefined_values_are_dashes() -> None:
    assert percent(None) == plain(None) == "\N{EN DASH}"
    assert percent(0.4826) == "48.3"
    assert plain(0.00123456) == "0.001235"


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
    in_words = described(label, ["water", "forest", "ice"])
    assert in_words == "water 50 %, forest 25 %, ice 12 % and no class 12 %"


def test_a_picture_carries_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    start, data = data_uri(pixels).split("base64,")
    assert start == "data:image/png;"
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels
    )


def test_parameters_read_back_from_their_text_in_their_own_order(block: Mapping[str, Any]) -> None:
    values = {"earth": {**block, "odd": {"text": "no: #", "none": None, "yes": True, "of": []}}}
    read = YAML(typ="safe").load(yaml_text(values))
    assert read == values
    assert list(read["earth"]) == list(values["earth"])
