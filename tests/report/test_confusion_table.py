"""The confusion matrix as rows of shares."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report.page_reader import Reader

from semflow.report.confusion import (
    MOST_CLASSES,
    Mistake,
    confusion_table,
    largest_mistakes,
    share_text,
)
from semflow.report.content import Content
from semflow.report.page import render_page

NOTHING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
COUNTS = [[700, 150, 100, 50], [0, 400, 0, 0], [0, 0, 0, 0]]


def test_a_row_has_the_shares_of_its_own_pixels() -> None:
    table = confusion_table(["a", "b", "c"], COUNTS)
    assert table.columns == ("a", "b", "c", "No class")
    assert table.left_out == 0
    assert [row.name for row in table.rows] == ["a", "b", "c"]
    assert table.rows[0].shares == (0.7, 0.15, 0.1, 0.05)
    assert table.rows[1].shares == (0, 1, 0, 0)
    assert table.rows[2].shares == (None, None, None, None)
    assert [row.part for row in table.rows] == [1000 / 1400, 400 / 1400, 0]
    assert [row.own for row in table.rows] == [0, 1, 2]


def test_predictions_of_no_class_have_a_column_only_where_there_are_any() -> None:
    assert confusion_table(["a"], [[3, 0]]).columns == ("a",)
    assert confusion_table(["a"], [[3, 1]]).columns == ("a", "No class")


def test_of_many_classes_those_with_the_most_pixels_have_rows_and_the_rest_a_column() -> None:
    count = MOST_CLASSES + 3
    counts = [[0] * (count + 1) for _ in range(count)]
    for place in range(count):
        counts[place][place] = 10
    # The classes 4, 7 and 9 have the fewest; some of class 0 is taken for two of them.
    for place in (4, 7, 9):
        counts[place][place] = 1
    counts[0][4], counts[0][9] = 6, 4
    table = confusion_table([f"c{place}" for place in range(count)], counts)
    assert table.left_out == 3
    assert len(table.rows) == MOST_CLASSES
    assert table.columns[:6] == ("c0", "c1", "c2", "c3", "c5", "c6")
    assert table.columns[-1] == "Other classes"
    assert table.rows[0].shares[-1] == 10 / 20
    assert table.rows[4].name == "c5"
    assert table.rows[4].own == 4
    assert table.rows[4].shares[4] == 1


def test_classes_of_one_name_keep_columns_of_their_own() -> None:
    assert confusion_table(["a", "a"], [[1, 3, 0], [0, 2, 0]]).rows[0].shares == (0.25, 0.75)


def test_names_and_counts_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 classes, 3 rows"):
        confusion_table(["a", "b"], COUNTS)


def test_the_largest_mistakes_come_first_and_right_pixels_are_none() -> None:
    assert largest_mistakes(["a", "b", "c"], COUNTS) == [
        Mistake("a", "b", 0.15, 150 / 1400),
        Mistake("a", "c", 0.1, 100 / 1400),
        Mistake("a", "no class", 0.05, 50 / 1400),
    ]
    assert largest_mistakes(["a", "b"], [[5, 0, 0], [0, 5, 0]]) == []


def test_a_share_that_is_not_nothing_is_not_written_as_nothing() -> None:
    texts = [share_text(share) for share in (None, 0.0, 1e-5, 0.0005, 0.12345, 1.0)]
    assert texts == [NOTHING, "0", "<0.1", "0.1", "12.3", "100.0"]


def test_the_page_has_the_table_with_its_diagonal_framed_and_shares_as_shades(
    content: Content,
) -> None:
    page = render_page(content)
    reader = Reader(page)
    table = reader.table("Predictions by label")
    assert table.columns[1:] == ["water", "forest & bush", "<ice>", "barren", "No class"]
    assert table.row("water") == ["70.0", "15.0", "10.0", "0", "5.0"]
    assert table.row("<ice>")[:3] == ["<0.1", "0", "100.0"]
    assert table.row("barren") == [NOTHING] * 5
    own = [attrs for tag, attrs in reader.tags if tag == "td" and attrs.get("class") == "own"]
    assert [attrs["style"] for attrs in own] == [
        f"--share: {share}" for share in ("0.700", "1.000", "1.000", "0.000")
    ]
    said = f"water taken for forest & bush (15.0{SPACE}% of its pixels, 3.4{SPACE}% of all);"
    assert said in reader.text


def test_a_page_without_mistakes_names_none(content: Content) -> None:
    diagonal = [[int(i == j) for j in range(5)] for i in range(4)]
    details = content.details.model_copy(update={"confusion": diagonal})
    text = Reader(render_page(replace(content, details=details))).text
    assert "taken for" not in text.replace("What is taken for what", "")
