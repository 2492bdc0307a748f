"""The stages that a target needs, in order, as dvc.yaml and stages/dvc.yaml have them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from semflow.core.errors import UserError
from semflow.params.messages import nearest_name

GRAPH_FILES = ("dvc.yaml", "stages/dvc.yaml")
"""`dvc repro` runs all of the first, and of others what that needs."""
ITEM = "${item}"


@dataclass(frozen=True)
class Stage:
    """One stage for one data set.

    Args:
        name: Its key in dvc.yaml.
        address: What `dvc repro` calls it, `index@earth`; the name alone if it belongs to no data
            set; behind its file and a colon if that is not dvc.yaml.
        deps: Paths that it reads.
        outs: Paths that it makes.
        tracked: Those of them that git holds, not DVC's cache.
        gpu: Whether it asks for an accelerator, as its `meta` says.
    """

    name: str
    address: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    tracked: tuple[str, ...]
    gpu: bool


def stages_for(target: str, dataset: str, root: Path) -> list[Stage]:
    """A stage and all that it depends on, each after what it reads.

    Args:
        target: Name of a stage.
        dataset: The item of the stages that are made for each data set.
        root: Folder of dvc.yaml.

    Raises:
        UserError: Dvc.yaml is absent or has no such stage.
    """
    stages = read_stages(dataset, root)
    if target not in stages:
        raise UserError(f"unknown stage {target!r}; {nearest_name(target, list(stages))}")
    ordered: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        for other in stages.values():
            if other.name not in ordered and _feeds(other, stage):
                visit(other)
        ordered[stage.name] = stage

    visit(stages[target])
    return list(ordered.values())


def read_stages(dataset: str, root: Path) -> dict[str, Stage]:
    """The stages that there are for one data set, by name.

    Raises:
        UserError: Dvc.yaml is absent.
    """
    if not (root / GRAPH_FILES[0]).is_file():
        raise UserError(f"{root / GRAPH_FILES[0]} not found; name a checkout of the project")
    return {
        name: _stage(file, name, block, dataset)
        for file in GRAPH_FILES
        if (root / file).is_file()
        for name, block in YAML(typ="safe").load(root / file)["stages"].items()
        if _is_made_for(dataset, block)
    }


def outside(stages: Sequence[Stage]) -> list[str]:
    """Paths that some stage reads and none of them makes: sources, and raw downloads."""
    made = [out for stage in stages for out in stage.outs]
    read = dict.fromkeys(dep for stage in stages for dep in stage.deps)
    return [dep for dep in read if not any(_overlap(dep, out) for out in made)]


def _is_made_for(dataset: str, block: Mapping[str, Any]) -> bool:
    """Whether a stage has the data set among its items, or takes those that params.yaml lists."""
    items = block.get("foreach")
    return not isinstance(items, list) or dataset in items


def _stage(file: str, name: str, block: Mapping[str, Any], dataset: str) -> Stage:
    body = block.get("do", block)
    folder = posixpath.join(posixpath.dirname(file), body.get("wdir", ""))

    def paths(*kinds: str) -> Iterator[tuple[str, bool]]:
        for entry in (entry for kind in kinds for entry in body.get(kind, ())):
            path, options = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            below_root = posixpath.normpath(posixpath.join(folder, path.replace(ITEM, dataset)))
            yield below_root, bool(options.get("cache", True))

    outs = list(paths("outs", "metrics", "plots"))
    where = "" if file == GRAPH_FILES[0] else f"{file}:"
    return Stage(
        name=name,
        address=f"{where}{name}@{dataset}" if "foreach" in block else f"{where}{name}",
        deps=tuple(path for path, _ in paths("deps")),
        outs=tuple(path for path, _ in outs),
        tracked=tuple(path for path, cached in outs if not cached),
        gpu=bool(body.get("meta", {}).get("gpu", False)),
    )


def _feeds(maker: Stage, reader: Stage) -> bool:
    return any(_overlap(dep, out) for dep in reader.deps for out in maker.outs)


def _overlap(one: str, other: str) -> bool:
    """Whether they are the same path or one lies below the other."""
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first.is_relative_to(second) or second.is_relative_to(first)
