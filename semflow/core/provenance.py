"""What made a result: parameters, inputs, code, versions and hardware."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
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
        code: sha256 of each of the project's modules that were imported, by module name.
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
        parameters: what the stage reads of params.yaml; JSON values.
        inputs: files and folders. Of a shard folder only the manifests count, which hold the tars'
            checksums.
        hardware: where the result depends on it.
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
        if file and name.split(".")[0] in ("semflow", "stages"):
            found[name] = sha256_of(Path(file))
    return found


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
