"""Targets that are text: parameters, recipes, names, figures, and what a terminal is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from semflow.cli.contents import describe
from semflow.cli.own_data.classes import read_classes
from semflow.core.errors import UserError
from semflow.core.files import read_json
from semflow.core.terminal import printable
from semflow.evaluation.details import read_details
from semflow.params.reading import read_block
from semflow.params.recipes import RECIPES, merge, overrides_for, read_recipe
from semflow.params.rows import read_row
from semflow.report.confusion import confusion_table, largest_mistakes
from semflow.report.extremes import choose, deciles
from semflow.report.training_curves import table
from semflow.schema import read_params, validate_params
from semflow.training.curve import CURVE, read_curve

ROOT = Path(__file__).parents[1]
DATASET = "robots"
FIGURES = ROOT / "docs" / "robots.json"


def params(data: bytes, folder: Path) -> None:
    """A parameter file."""
    (folder / "params.yaml").write_bytes(data)
    read_params(folder / "params.yaml")


def block(data: bytes, folder: Path) -> None:
    """A block of a parameter file and a row of the study, by a name that stands in the file."""
    (folder / "block.yaml").write_bytes(data)
    for read in (lambda: read_block(DATASET, folder / "block.yaml"), lambda: _row(folder)):
        read()


def recipe(data: bytes, folder: Path) -> None:
    """A recipe, merged into a data set's block."""
    (folder / "recipes").mkdir(exist_ok=True)
    (folder / "recipes" / "hostile.yaml").write_bytes(data)
    check_changes(read_recipe("hostile", DATASET, folder / "recipes"))


def names(data: bytes, folder: Path) -> None:
    """A recipe's name, a row's name and a data set's name on the command line."""
    name = data.decode("utf-8", "surrogateescape")
    tries = (
        lambda: read_recipe(name, DATASET, ROOT / RECIPES),
        lambda: read_row(name, ROOT / "study/rows.yaml"),
        lambda: read_block(name, ROOT / "params.yaml"),
        lambda: overrides_for({"all": {}}, name, name),
    )
    refused = refusal_of(tries)
    if refused:
        raise refused


def classes_file(data: bytes, folder: Path) -> None:
    """A user's file of classes."""
    (folder / "classes.txt").write_bytes(data)
    read_classes(folder / "classes.txt", ())


def metrics(data: bytes, folder: Path) -> None:
    """A report's metrics, as `semflow inspect` shows them."""
    (folder / "metrics.json").write_bytes(data)
    describe(folder / "metrics.json")


def details(data: bytes, folder: Path) -> None:
    """What stands behind the figures, and what the report makes of it."""
    (folder / "details.json").write_bytes(data)
    found = read_details(folder / "details.json").segmentation
    if found is not None:
        names = [str(number) for number in range(len(found.confusion))]
        confusion_table(names, found.confusion)
        largest_mistakes(names, found.confusion)
        choose(found.miou_by_image, 4)
        deciles(found.miou_by_image)


def curve(data: bytes, folder: Path) -> None:
    """A checkpoint's training, and its table in the report."""
    (folder / CURVE).write_bytes(data)
    found = read_curve(folder)
    if found is not None:
        table(found)


def terminal(data: bytes, folder: Path) -> None:
    """What a terminal is shown: one line without a control character."""
    shown = printable(data.decode("utf-8", "surrogateescape"))
    assert shown.isprintable(), f"{shown!r:.200} is not printable"
    shown.encode()


def params_seeds() -> Iterator[bytes]:
    """The repository's own file, one of its blocks, and what a parser trips over."""
    text = (ROOT / "params.yaml").read_bytes()
    yield from (text, text.split(b"\ncityscapes:")[0], b"a: &a [x]\nb: [*a, *a]", b"[" * 5000)
    yield from (b"a: !!bool x", b"1: 2", b"a: 0x" + b"f" * 5000, b"a: 1e999", b"? [a]\n: 1")
    yield b"robots:\n" + b" " * 40_000 + b"a: 1"


def recipe_seeds() -> Iterator[bytes]:
    """The repository's recipes."""
    yield from (path.read_bytes() for path in sorted((ROOT / RECIPES).glob("*.yaml")))
    yield b"all: {train: {steps: .nan}}"
    yield from (b"all: {train: 1}", b"1: {}", b"all:\n  1: {2: 3}")


def name_seeds() -> Iterator[bytes]:
    """Options in the place of names, lines, zero bytes, paths."""
    yield from (b"smoke", b"HEAD", b"--upload-pack=touch x", b"-x", b"a\nb", b"a\0b", b"../smoke")
    yield from (b"HEAD^{/x}", b"@{-1}", b"\xff", b"a" * 200_000, b"robots-faithful", b"")


def shown_seeds() -> Iterator[bytes]:
    """Markup of pages, of Markdown and of terminals."""
    yield from (b'"><script>alert(1)</script>', b"![a](http://a/b)", b"<http://a.b>", b"`` ` ``")
    yield from (b"\x1b]0;title\x07", b"\x1b[2Ja", "‮a".encode(), b"a\r\nb\tc", b"&lt;", b"    a")
    yield from (b"[a]: http://b", b"a\\", b"-->", b"{{ 1 }}", b"\xc2\x85\xe2\x80\xa8")


def class_seeds() -> Iterator[bytes]:
    """Each form of a line, and numbers that are no ASCII."""
    yield from (b"a\nb\n", b"0 a\n1 b\n", b"1 2 3 a\n4 5 6 b\n", "٣ a\n² b\n".encode())


def metrics_seeds() -> Iterator[bytes]:
    """Figures that are kept, and one of them as no number."""
    text = json.dumps(read_json(FIGURES)["metrics"])
    yield from (text.encode(), text.replace("0.8", "NaN", 1).encode(), b"[" * 5000)


def details_seeds() -> Iterator[bytes]:
    """Two classes and two images, and sizes that do not agree."""
    sound = {
        "steps": 1,
        "confusion": [[3, 1, 0], [0, 0, 0]],
        "keys": ["a", "b"],
        "miou_by_image": [0.5, None],
    }
    yield from (json.dumps({"segmentation": one}).encode() for one in (sound, None))
    odd = {**sound, "confusion": [[10**400, 1, 0], [1]], "keys": []}
    yield from (json.dumps({"segmentation": odd}).encode(), b"[" * 5000)


def curve_seeds() -> Iterator[bytes]:
    """A short training, and values that no chart takes."""
    text = json.dumps({"steps": [1, 2], "values": {"loss": [0.5, 0.25], "learning_rate": [1, 0]}})
    yield from (text.encode(), text.replace("0.25", "1e999").encode(), b"[" * 5000)
    yield text.replace("2]", "1" + "0" * 400 + "]", 1).encode()


def _row(folder: Path) -> None:
    read_row("robots-x", folder / "block.yaml")


def refusal_of(tries: Any) -> UserError | None:
    """What the last of several refusals says; all are made."""
    refused = None
    for one in tries:
        try:
            one()
        except UserError as error:
            refused = error
    return refused


def check_changes(changes: dict[str, Any]) -> None:
    """Holds the repository's block with changes against the schema."""
    values = deepcopy(dict(committed_block()))
    merge(values, changes)
    validate_params({"datasets": [DATASET], DATASET: values}, "hostile.yaml")


@cache
def committed_block() -> Any:
    """A block of the repository's own parameters."""
    return read_block(DATASET, ROOT / "params.yaml")
