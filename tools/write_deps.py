"""Writes each stage's import closure into dvc.yaml: `make deps` after changing an import."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML
from support.closure import ROOT, closure

CODE = (".py",)


def main() -> None:
    """Replaces the Python files among every stage's dependencies, keeping all else as it is."""
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = ROOT / "dvc.yaml"
    document = yaml.load(path)
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        others = [dep for dep in body["deps"] if Path(dep).suffix not in CODE]
        body["deps"] = others + sorted(str(file) for file in closure(f"stages.{name}"))
    yaml.dump(document, path)


if __name__ == "__main__":
    main()
