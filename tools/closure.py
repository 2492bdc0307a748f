"""Which files of this repository a module imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("semflow", "stages", "flows", "tools", "bench")


def source_of(module: str) -> Path | None:
    """The file of a module of this repository, relative to its root; None for other modules."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


def imports_of(path: Path) -> Iterator[str]:
    """Names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(module: str) -> set[Path]:
    """The module's file and every file of this repository that it imports, packages included."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = source_of(name)
        if path is None or path in found:
            continue
        found.add(path)
        waiting += imports_of(path)
        waiting += [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
    # Empty package files hold nothing that could change a result.
    return {path for path in found if (ROOT / path).stat().st_size > 0}


def code_of(stage: str) -> set[str]:
    """The folders and files of code that a stage depends on: whole packages, and top modules."""
    modules = closure(f"stages.{stage}") - {Path("semflow/__init__.py"), Path("stages/__init__.py")}
    return {_owner(path).as_posix() for path in modules}


def _owner(path: Path) -> Path:
    """The package of a module of the library, or the module itself."""
    return Path(*path.parts[:2]) if path.parts[0] == "semflow" and len(path.parts) > 2 else path
