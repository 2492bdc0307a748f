"""Targets of flows and of the report: overrides, revisions, Markdown, logs, names in HTML."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from bench.fuzz_text import DATASET, FIGURES, check_changes, committed_block, refusal_of
from flows.artifacts import code, prose
from flows.parameters import nested, recipe_at
from flows.process import lines_of
from flows.workspace import commit_of
from semflow.core.files import read_json
from semflow.evaluation.details import SegmentationDetails
from semflow.evaluation.results import Metrics
from semflow.report.content import Content, Example
from semflow.report.extremes import Extremes, Segmented
from semflow.report.films import FILM_TIMES, Film
from semflow.report.page import render_page
from semflow.training.curve import TrainingCurve

SOUND_TOKENS = {
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
    *("paragraph_open", "paragraph_close", "inline", "text", "code_inline", "text_special"),
}


def overrides(data: bytes, folder: Path) -> None:
    """Overrides of a flow, which Prefect has parsed."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(values, dict):
        check_changes(nested(values))


def revision(data: bytes, folder: Path) -> None:
    """A revision, and a recipe's name at a commit, which git is asked for."""
    name = data.decode("utf-8", "surrogateescape")
    repository = _repository(folder / "repository")
    commit = commit_of(repository, None)
    refused = refusal_of(
        (
            lambda: commit_of(repository, name),
            lambda: recipe_at(repository, commit, name, DATASET),
        )
    )
    if refused:
        raise refused


def report(data: bytes, folder: Path) -> None:
    """Names in a report: whatever they are, the page has the tags of one with plain names."""
    text = data.decode("utf-8", "surrogateescape")
    tags = [_tags(render_page(_content(name))) for name in (text, "plain")]
    assert tags[0] == tags[1], "a name brought a tag of its own"


def markdown(data: bytes, folder: Path) -> None:
    """A line of a run's summary: text and code spans, no link, no picture, no HTML."""
    # Prefect brings it along.
    from markdown_it import MarkdownIt

    text = data.decode("utf-8", "surrogateescape")
    for line in (f"- {prose(text)}", f"- a {code(text)}"):
        tokens = MarkdownIt("commonmark").parse(line)
        kinds = {token.type for token in tokens}
        kinds |= {child.type for token in tokens for child in token.children or ()}
        assert kinds <= SOUND_TOKENS, f"{sorted(kinds - SOUND_TOKENS)} in {line!r:.200}"


def log(data: bytes, folder: Path) -> None:
    """What a stage prints, as its flow logs it: lines without a control character."""
    for line in lines_of(io.BytesIO(data)):
        assert line.text.isprintable(), f"{line.text!r:.200} is not printable"
        line.text.encode()


def override_seeds() -> Iterator[bytes]:
    """Nested and dotted keys, and numbers that no float holds."""
    yield from (b'{"train.steps": 1}', b'{"train": {"seed": NaN}}', b'{"a.b": 1, "a": {"b": {}}}')
    yield b'{"train.learning_rate": 1' + b"0" * 400 + b"}"
    yield b'{"":' * 200 + b"1" + b"}" * 200


def _content(name: str) -> Content:
    found = _plain_content()
    classes = [f"{name}{number}" for number in range(len(found.metrics.classes))]
    shown = replace(found.examples[0], key=name)
    update = {"classes": classes}
    changed = found.metrics.model_copy(update=update)
    films = (replace(found.films[0], key=name),)
    worst = (replace(found.extremes.worst[0], key=name),)
    extremes = Extremes(worst, found.extremes.best)
    curve = TrainingCurve(steps=[1], values={name: [1.0]})
    return replace(
        found,
        dataset=name,
        metrics=changed,
        examples=(shown,),
        films=films,
        extremes=extremes,
        curve=curve,
    )


@cache
def _plain_content() -> Content:
    measured = Metrics.model_validate(read_json(FIGURES)["metrics"])
    label = np.zeros((2, 2), np.uint8)
    picture = np.zeros((2, 2, 3), np.uint8)
    count = len(measured.classes)
    colors = tuple((number, 0, 0) for number in range(count))
    one = Segmented("a", 0.5, picture, label, label)
    details = SegmentationDetails(
        steps=1, confusion=[[1] * (count + 1)] * count, keys=["a", "b"], miou_by_image=[0.5, 0.5]
    )
    return Content(
        dataset=DATASET,
        block=committed_block(),
        seeds=(0,),
        metrics=measured,
        solver="euler",
        image_size=(2, 2),
        class_colors=colors,
        anchors=colors,
        ignore_color=(1, 2, 3),
        train_samples=1,
        split_samples=1,
        weights=(),
        provenance=None,
        examples=(Example("a", picture, label, label, (picture,)),),
        films=(Film("a", (picture,) * len(FILM_TIMES), (picture,) * len(FILM_TIMES)),),
        details=details,
        extremes=Extremes((one,), (one,)),
        curve=None,
    )


class _Tags(HTMLParser):
    """The tags of a page and the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes one."""
        self.found.append((tag, tuple(name for name, _ in attrs)))


def _tags(page: str) -> list[tuple[str, tuple[str, ...]]]:
    reader = _Tags()
    reader.feed(page)
    reader.close()
    return reader.found


@cache
def _repository(folder: Path) -> Path:
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "smoke.yaml").write_text("all: {}\n", encoding="utf-8")
    for arguments in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder
