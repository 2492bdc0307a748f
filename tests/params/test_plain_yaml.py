from __future__ import annotations

import time
from pathlib import Path

import pytest

from semflow.core.errors import UserError
from semflow.params.plain_yaml import DEEPEST, MOST_ALIASES, plain_yaml
from semflow.params.reading import read_values
from tools.closure import ROOT


def refusal(content: bytes) -> str:
    with pytest.raises(UserError) as refused:
        plain_yaml(content, "here")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_nested_aliases_are_refused_before_anything_is_made_of_them() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        lines.append(b"a%d: &a%d [%s]" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9)))
    started = time.process_time()
    assert refusal(b"\n".join(lines)) == (
        "here, line 2: an alias (*a0) inside of an anchor; write its value"
    )
    assert time.process_time() - started < 1


def test_an_alias_of_what_holds_none_is_the_same_value_and_may_be_merged() -> None:
    content = b"a: &a {b: 1}\nc: {d: *a, e: {<<: *a, f: 2}}"
    assert plain_yaml(content, "here") == {
        "a": {"b": 1},
        "c": {"d": {"b": 1}, "e": {"b": 1, "f": 2}},
    }


def test_more_aliases_than_anybody_writes_are_refused() -> None:
    many = b"a: &a {b: 1}\nc: [" + b", ".join([b"*a"] * (MOST_ALIASES + 1)) + b"]"
    assert "line 2: an alias (*a) beyond all measure" in refusal(many)


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? "])
def test_nesting_that_would_end_the_process_is_refused(opening: bytes) -> None:
    # Loaded, the first of these overflows the parser's stack, which is a signal and no exception.
    assert refusal(opening * 200_000).endswith(f"nested more than {DEEPEST} deep; flatten it")


@pytest.mark.parametrize("tag", [b"!!bool x", b"!!python/object:os.system x", b"!!set {x}"])
def test_a_tag_is_refused_whatever_it_names(tag: bytes) -> None:
    assert "line 1: a tag (" in refusal(b"a: " + tag)


@pytest.mark.parametrize("key", [b"[[a]: b]", b"[{a: b}]", b"{[a]: b}", b"{{a: b}: c}"])
def test_a_key_that_is_no_plain_value_is_refused(key: bytes) -> None:
    assert "key" in refusal(b"? " + key + b"\n: 0")


def test_a_key_at_the_top_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("1: 2\n", encoding="utf-8")
    with pytest.raises(UserError, match="key 1 is no name; put it in quotes"):
        read_values(tmp_path / "params.yaml")


def test_the_repositorys_own_files_are_plain() -> None:
    for path in (
        ROOT / "params.yaml",
        *(ROOT / "recipes").glob("*.yaml"),
        ROOT / "study/rows.yaml",
    ):
        assert plain_yaml(path.read_bytes(), path.name)


def test_a_folder_or_a_loop_of_links_in_the_files_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop"):
        with pytest.raises(UserError, match="cannot be read"):
            read_values(path)
