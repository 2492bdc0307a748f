"""What made a result: parameters, inputs, code, versions and hardware."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from semflow.core.files import read_json, sha256_of

PROVENANCE = "provenance.json"
MANIFEST = "manifest.json"
PACKAGES = ("torch", "diffusers", "accelerate", "numpy", "pillow")
"""Whose versions a result's bytes depend on."""


@dataclass(frozen=True)
class Provenance:
    """Everything that a result's bytes follow from.

    Args:
        parameters: the part of params.yaml that was read; JSON values.
        inputs: sha256 of each input file, or of a shard folder's manifest, by relative path.
        code: sha256 of each package and top module of the project that was imported, by name;
            comments and docstrings do not count.
        versions: of Python and of the packages in PACKAGES.
        hardware: processor, threads, world size, precision; empty where the bytes do not depend
            on them.
    """

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    versions: Mapping[str, str]
    hardware: Mapping[str, str | int]

    def as_json(self) -> dict[str, Any]:
        """For writing."""
        return asdict(self)

    def fingerprint(self) -> str:
        """Hexadecimal sha256 over all of it."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def provenance_of(
    parameters: Mapping[str, Any],
    inputs: Iterable[Path],
    hardware: Mapping[str, str | int] | None = None,
) -> Provenance:
    """Collects it for the code that is loaded now.

    Args:
        parameters: What the stage reads of params.yaml; JSON values.
        inputs: Files and folders. Of a shard folder only the manifests count, which hold the tars'
            checksums.
        hardware: Where the result depends on it.
    """
    files = [file for path in inputs for file in _hashed_files(path)]
    return Provenance(
        parameters=parameters,
        inputs={file.as_posix(): sha256_of(file) for file in sorted(files)},
        code=_code(),
        versions=_versions(),
        hardware=dict(hardware or {}),
    )


def read_provenance(folder: Path) -> Provenance | None:
    """What a checkpoint notes of its making; None where it notes nothing.

    Raises:
        UserError: the note is not JSON.
    """
    path = folder / PROVENANCE
    return Provenance(**read_json(path)) if path.is_file() else None


def processor() -> str:
    """The kind of processor, as the operating system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _hashed_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    manifests = sorted(path.rglob(MANIFEST))
    return manifests or [file for file in sorted(path.rglob("*")) if file.is_file()]


def _code() -> dict[str, str]:
    found = {}
    for module in list(sys.modules.values()):
        # A stage runs as __main__; its specification still says which module it is.
        name = getattr(getattr(module, "__spec__", None), "name", "")
        file = getattr(module, "__file__", None)
        parts = name.split(".")
        if file and parts[0] == "semflow" and len(parts) > 2:
            found[".".join(parts[:2])] = _code_of(Path(file).parent)
        elif file and parts[0] in ("semflow", "stages") and len(parts) == 2:
            path = Path(file)
            found[name] = _code_of(path.parent if path.stem == "__init__" else path)
    return found


@cache
def _code_of(path: Path) -> str:
    """sha256 of a module, or of all modules of a folder, by what they compile to."""
    total = hashlib.sha256()
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        total.update(f"{file.name}\0{without_docstrings(file.read_text('utf-8'))}\0".encode())
    return total.hexdigest()


def without_docstrings(source: str) -> str:
    """A module's syntax tree as text, without comments, positions and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # A string that stands alone documents what is above it and does nothing.
            node.body = [  # type: ignore[attr-defined]
                one
                for one in body
                if not (
                    isinstance(one, ast.Expr)
                    and isinstance(one.value, ast.Constant)
                    and isinstance(one.value.value, str)
                )
            ]
    return ast.dump(tree)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
