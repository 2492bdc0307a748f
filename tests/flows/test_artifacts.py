from __future__ import annotations

from io import BytesIO

import pytest
from markdown_it import MarkdownIt

from flows.artifacts import code, prose
from flows.process import lines_of

HOSTILE = [
    "<img src=x>",
    "![a](http://b/c)",
    "<http://b.c>",
    "`` ` ``",
    "a\n\n# b",
    "[a]: http://b",
    "    a",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_summary_shows_text_of_any_origin_as_text(text: str) -> None:
    for written in (prose(text), code(text)):
        tokens = MarkdownIt("commonmark").parse(f"- a {written}")
        kinds = {child.type for token in tokens for child in token.children or ()}
        assert kinds <= {"text", "text_special", "code_inline"}
        assert len([token for token in tokens if token.type == "paragraph_open"]) == 1


def test_a_stages_output_cannot_retitle_the_terminal_that_shows_its_log() -> None:
    [line] = lines_of(BytesIO(b"\x1b[1ma\x1b]0;title\x07b\n"))
    assert line.text == r"a\x1b]0;title\x07b"
