"""What the Prefect page shows of a run: how far it is, samples, metrics, where the report lies."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from semflow.core.terminal import printable

UPDATE_SECONDS = 5.0
PAUSE_SECONDS = 60.0
GRID_WIDTH = 640
"""Pixels of the embedded sample grid, to keep an artifact below some hundred kilobytes."""


class Progress:
    """A bar on the page of one task; made with the first percent, and never in the way.

    Args:
        address: Of the stage.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._artifact: Any = None
        self._next = 0.0

    def update(self, percent: int) -> None:
        """Shows it, a few times a minute; a server that is away is tried again later."""
        now = time.monotonic()
        if now < self._next and percent < 100:
            return
        self._next = now + UPDATE_SECONDS
        try:
            if self._artifact is None:
                self._artifact = create_progress_artifact(
                    float(percent), key=key_of(self._address), description=self._address
                )
            else:
                update_progress_artifact(self._artifact, float(percent))
        except Exception as error:
            self._next = now + PAUSE_SECONDS
            get_run_logger().warning("progress not shown: %s", type(error).__name__)


def key_of(*parts: str) -> str:
    """Names joined to a key as Prefect wants it: small letters, digits and dashes."""
    text = "-".join(parts).lower()
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def show_samples(run: str, logs: Path, dataset: str) -> None:
    """The last grid that training has drawn, embedded; nothing where there is none."""
    grids = sorted((logs / dataset / "samples").glob("*.png"))
    if grids:
        text = (
            f"Step {int(grids[-1].stem)}; from above: image, label, segmented, synthesized.\n\n"
            f"![samples]({data_uri(grids[-1])})\n\n{code(str(grids[-1]))}"
        )
        create_markdown_artifact(text, key=key_of(dataset, "samples"), description=run)


def show_metrics(run: str, dataset: str, metrics: Mapping[str, Any]) -> None:
    """Every number of metrics.json as a row."""
    rows = [{"metric": name, "value": value} for name, value in flat(metrics)]
    create_table_artifact(rows, key=key_of(dataset, "metrics"), description=run)


def show_report(run: str, dataset: str, page: Path) -> None:
    """A link to the page of a run, which stays when its workspace goes.

    The link shows its address: browsers follow none from a server's page to a file.
    """
    address = page.resolve().as_uri()
    create_link_artifact(address, key=key_of(dataset, "report"), description=run)


def show_comparison(run: str, dataset: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A commit's metrics beside this run's."""
    create_table_artifact(
        [dict(row) for row in rows], key=key_of(dataset, "comparison"), description=run
    )


def code(text: str) -> str:
    """Text of any origin as a code span of Markdown, on one line."""
    shown = printable(text) or " "
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    # A backtick at an end would be one of the fence.
    pad = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def prose(text: str) -> str:
    """Text of any origin as Markdown that shows it as it is, on one line: no link, no HTML."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", printable(text).strip())


def show_summary(run: str, dataset: str, lines: list[str]) -> None:
    """What came of a run, a line of Markdown each."""
    text = "\n".join(f"- {line}" for line in lines)
    create_markdown_artifact(text, key=key_of(dataset, "run"), description=run)


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of nested mappings by dotted name; what is no number is left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{before}{name}", value


def data_uri(path: Path) -> str:
    """A picture as it can stand in markdown: JPEG, at most GRID_WIDTH wide."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((GRID_WIDTH, GRID_WIDTH))
        encoded = io.BytesIO()
        small.save(encoded, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getvalue()).decode()}"
