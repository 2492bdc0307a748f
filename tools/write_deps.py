"""Writes the code that each stage depends on into dvc.yaml: `make deps` after a change of imports.

A stage depends on whole packages of the library, those that its imports reach, and on the modules
that stand outside of any: its own file, `stages/entry.py`, `semflow/pipeline.py` and the like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.closure import ROOT, code_of


def main() -> None:
    """Rewrites dvc.yaml in place."""
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    document = yaml.load(path)
    for name, stage in document["stages"].items():
        replace_code(stage.get("do", stage), code_of(name))
    yaml.dump(document, path)


def replace_code(stage: dict[str, Any], code: set[str]) -> None:
    """Puts a stage's code after its other dependencies, sorted.

    Args:
        stage: Its block in dvc.yaml; changed in place.
        code: Folders and files of code, relative to the root.
    """
    stage["deps"] = [dep for dep in stage["deps"] if not is_code(dep)] + sorted(code)


def is_code(dep: str) -> bool:
    """Whether a dependency is a package of the library or a Python file."""
    return Path(dep).suffix == ".py" or Path(dep).parts[0] == "semflow"


if __name__ == "__main__":
    main()
