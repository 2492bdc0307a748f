"""`python -m support.small_install ARGUMENTS...`: semflow where only its own dependencies exist.

All packages that are installed beside those which pyproject.toml's `dependencies` pull in are
hidden: from imports, from searches, and from the list of installed distributions.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.closure import ROOT


def small_set() -> set[str]:
    """Names of the distributions that an installation without extras brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: set[str] = {"semflow"}
    waiting = [Requirement(line) for line in project["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        try:
            more = [Requirement(line) for line in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def hidden_modules(small: set[str]) -> set[str]:
    """Top names of modules that only other distributions hold."""
    owners = metadata.packages_distributions()
    return {
        module
        for module, names in owners.items()
        if not {canonicalize_name(name) for name in names} & small
    } - set(sys.stdlib_module_names)  # Some distributions hold a module of that name as well.


class Hiding:
    """A finder that sees less than another."""

    def __init__(self, finder: Any, modules: set[str], small: set[str]) -> None:
        self._finder, self._modules, self._small = finder, modules, small

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the other, but nothing of what is hidden."""
        if name.partition(".")[0] in self._modules:
            return None
        found: ModuleSpec | None = self._finder.find_spec(name, path, target)
        return found

    def find_distributions(self, *arguments: Any) -> Iterable[metadata.Distribution]:
        """As the other, but none of what is hidden."""
        find = getattr(self._finder, "find_distributions", lambda *_: ())
        return [one for one in find(*arguments) if canonicalize_name(one.name) in self._small]


def hide() -> None:
    """Hides everything that stands outside of the small set, once."""
    small = small_set()
    modules = hidden_modules(small) - {"pip", "setuptools", "_distutils_hack"}
    loaded = {name.partition(".")[0] for name in sys.modules} & modules
    assert loaded <= {"packaging"}, f"loaded before anything was hidden: {loaded}"
    sys.meta_path[:] = [Hiding(finder, modules, small) for finder in sys.meta_path]


if __name__ == "__main__":
    hide()
    from semflow.cli.main import main

    main()
