from __future__ import annotations

import base64
import re

import numpy as np
import pytest

from semflow.app import markup
from semflow.shards.tar import png_bytes

PNG = png_bytes(np.zeros((2, 2, 3), np.uint8))
HOSTILE = "<script>alert('x')</script>\" onload=\"alert(1)"


def test_a_figure_carries_its_bytes_and_says_what_it_shows() -> None:
    made = markup.figure(PNG, "A red robot", "Image", "robot.png")
    sources = re.findall(r'data:image/png;base64,([^"]+)"', made)
    assert [base64.b64decode(source) for source in sources] == [PNG, PNG]
    assert 'alt="A red robot"' in made
    assert 'download="robot.png"' in made


def test_what_is_saved_may_be_another_file_than_what_is_shown() -> None:
    made = markup.figure(PNG, "a", "b", "c.png", download_content=b"other")
    assert re.findall(r'href="data:image/png;base64,([^"]+)"', made) == ["b3RoZXI="]


@pytest.mark.parametrize(
    "made",
    [
        markup.figure(PNG, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
        markup.figures([], HOSTILE, HOSTILE),
        markup.legend([HOSTILE], [(1, 2, 3)], [1.0]),
        markup.brushes([HOSTILE], [(1, 2, 3)], 0),
        markup.thumbnails([HOSTILE], [PNG], 0),
        markup.note(HOSTILE),
    ],
)
def test_names_of_foreign_files_are_text_and_nothing_else(made: str) -> None:
    assert "<script" not in made
    assert 'onload="' not in made


def test_a_legend_lists_the_classes_that_occur_with_their_shares() -> None:
    made = markup.legend(["sky", "tree", "dot"], [(0, 0, 255)] * 3, [0.996, 0.0, 0.004])
    assert re.sub(r"<[^>]+>", " ", made).split() == ["sky", "100%", "dot", "&lt;1%"]
    assert "background:#0000ff" in made


def test_brushes_are_buttons_in_the_order_of_ids_with_one_pressed() -> None:
    made = markup.brushes(["sky", "tree"], [(0, 0, 255), (0, 255, 0)], 1)
    buttons = re.findall(r'data-index="(\d)" aria-pressed="(\w+)">.*?</i>([\w ]+)<', made)
    assert buttons == [("0", "false", "sky"), ("1", "true", "tree"), ("2", "false", "no class")]
