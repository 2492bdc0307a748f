"""Every reader that hostile bytes reach, as one function of bytes: by hypothesis, by atheris.

`tests/faults/test_hostile_input.py` feeds them for minutes, `python -m bench.fuzz` for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.fuzz_confine import confined
from semflow.core.errors import UserError
from semflow.core.terminal import printable
from semflow.datasets.base import UnreadableSample

LONGEST_LINE = 4000
"""Characters of what a refusal says."""


@dataclass(frozen=True)
class Target:
    """One reader, a function of the module `bench.fuzz_<module>` with the name of the target.

    Args:
        module: Imported when it is used: some bring torch, some Prefect.
        seeds: Where the function is that gives inputs to begin with, sound and hostile ones.
        executions: Of the long row; slow readers get fewer.
    """

    module: str
    seeds: str
    executions: int


TARGETS = {
    "image": Target("files", "files.picture_seeds", 150_000),
    "label": Target("files", "files.picture_seeds", 150_000),
    "manifest": Target("files", "files.manifest_seeds", 60_000),
    "tar": Target("files", "files.tar_seeds", 10_000),
    "member": Target("files", "files.member_seeds", 200_000),
    "params": Target("text", "text.params_seeds", 30_000),
    "block": Target("text", "text.params_seeds", 30_000),
    "recipe": Target("text", "text.recipe_seeds", 10_000),
    "names": Target("text", "text.name_seeds", 10_000),
    "classes_file": Target("text", "text.class_seeds", 100_000),
    "metrics": Target("text", "text.metrics_seeds", 50_000),
    "details": Target("text", "text.details_seeds", 50_000),
    "curve": Target("text", "text.curve_seeds", 50_000),
    "terminal": Target("text", "text.shown_seeds", 150_000),
    "overrides": Target("pages", "pages.override_seeds", 20_000),
    "revision": Target("pages", "text.name_seeds", 1_000),
    "report": Target("pages", "text.shown_seeds", 1_000),
    "markdown": Target("pages", "text.shown_seeds", 30_000),
    "log": Target("pages", "text.shown_seeds", 30_000),
    "checkpoint_index": Target("models", "models.index_seeds", 20_000),
    "checkpoint_config": Target("models", "models.config_seeds", 4_000),
    "safetensors": Target("models", "models.weight_seeds", 4_000),
    "predictions": Target("models", "models.prediction_seeds", 20_000),
}


def reader_of(name: str) -> Callable[[bytes, Path], None]:
    """What a target runs: takes bytes, and a folder of its own with what it left there before."""
    return _function(f"{TARGETS[name].module}.{name}")


def seeds_of(name: str) -> Iterator[bytes]:
    """A target's inputs to begin with."""
    yield from _function(TARGETS[name].seeds)()


def execute(name: str, data: bytes, folder: Path) -> None:
    """Feeds a reader once; success and the project's own refusal are both well.

    Args:
        name: A key of TARGETS.
        data: The bytes.
        folder: The target's own.

    Raises:
        BaseException: Whatever else the reader raises, `Escaped` where it did what it must not.
    """
    run = reader_of(name)
    try:
        with confined(folder):
            run(data, folder)
    except (UserError, UnreadableSample) as refusal:
        # As the entry points print it.
        line = printable(str(refusal))
        assert line, "an empty refusal"
        assert len(line) <= LONGEST_LINE, f"a refusal of {len(line)} characters: {line[:200]}"


def _function(path: str) -> Any:
    module, name = path.split(".")
    return getattr(import_module(f"bench.fuzz_{module}"), name)
