"""Holds every pinned version against the last free database of advisories that is a package.

    make audit

safety-db ends in July 2021: what it finds is so, what it does not find says little of a newer
release. pip-audit, which `make audit` runs next, asks a service that is kept up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from tools.lock import LOCKS, parse, pinned

DATABASE = "lib/python*/site-packages/safety_db/insecure_full.json"


def main(environment: Path) -> int:
    """Prints a line for each finding and their number.

    Args:
        environment: A virtual environment that holds safety-db.

    Returns:
        Exit status: 1 if anything was found.
    """
    [file] = environment.glob(DATABASE)
    advisories = json.loads(file.read_text("utf-8"))
    versions = {(canonicalize_name(name), version) for name, version in pinned().items()}
    for lock in LOCKS.glob("*.lock"):
        versions |= {(entry.name, entry.version) for entry in parse(lock.read_text("utf-8"))}
    found = [line for name, version in sorted(versions) for line in of(name, version, advisories)]
    known = {canonicalize_name(name) for name in advisories}
    listed = sum(name in known for name, _ in versions)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} findings; {len(versions)} packages, {listed} of them in the database")
    return 1 if found else 0


def of(name: str, version: str, advisories: dict[str, Any]) -> Iterator[str]:
    """A line for each advisory on a version of a package, by its normalized name."""
    for listed, entries in advisories.items():
        if listed != "$meta" and canonicalize_name(listed) == name:
            for entry in entries:
                if any(covers(spec, version) for spec in entry["specs"]):
                    yield f"{name} {version}: {entry['cve'] or entry['id']}: {entry['advisory']}"


def covers(spec: str, version: str) -> bool:
    """Whether an advisory's range holds a version; a range that cannot be read counts as yes."""
    try:
        return SpecifierSet(spec).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
