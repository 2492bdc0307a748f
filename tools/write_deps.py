"""Writes the code that each stage depends on into the graphs: `make deps` after changed imports.

A stage depends on whole packages of the library, those that its imports reach, and on the modules
that stand outside of any: its own file, `stages/entry.py`, `semflow/pipeline.py` and the like.
"""

from __future__ import annotations

import io
from typing import Any

from flows.graph import GRAPH_FILES
from semflow.core.files import write_text
from semflow.params.recipes import round_trip
from tools.closure import ROOT, code_of

STUDY = "study/dvc.yaml"
"""The graph of rows beside the data sets: other stages of the same names, on the same code."""


def main() -> None:
    """Rewrites the three graphs in place."""
    for path in (ROOT / graph for graph in (*GRAPH_FILES, STUDY)):
        write_text(path, rewritten(path.read_text("utf-8")))


def rewritten(graph: str) -> str:
    """The text of a graph with each stage's code as its imports are now, all else as it was."""
    yaml = round_trip()
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(graph)
    for name, stage in document["stages"].items():
        replace_code(stage.get("do", stage), code_of(name))
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def replace_code(stage: dict[str, Any], code: set[str]) -> None:
    """Puts a stage's code after its other dependencies, sorted.

    Args:
        stage: Its block in the graph; changed in place.
        code: Folders and files of code, relative to the root.
    """
    stage["deps"] = [dep for dep in stage["deps"] if not is_code(dep)] + sorted(code)


def is_code(dep: str) -> bool:
    """Whether a dependency is a package of the library or a Python file."""
    return dep.startswith("semflow/") or dep.endswith(".py")


if __name__ == "__main__":
    main()
