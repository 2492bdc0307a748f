"""Writes docs/sbom.json: the packages that `make setup` installed, in CycloneDX's form.

    make sbom

cyclonedx-py reads names, versions, licences and what needs what from the environment that runs
this. Kept is what is locked or pinned; the sha256 of the files are in requirements/setup.lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from packaging.markers import Marker, default_environment
from packaging.utils import NormalizedName, canonicalize_name

from semflow.core.files import write_json
from tools.closure import ROOT
from tools.lock import LOCKS, OUTSIDE, PYPROJECT, parse, pinned

SBOM = ROOT / "docs" / "sbom.json"
MARKERS = (
    "implementation_name",
    "platform_machine",
    "platform_python_implementation",
    "python_full_version",
    "python_version",
    "sys_platform",
)
"""Of the environment: what the markers of locked packages may ask for."""
BULK = ("description", "externalReferences")
"""Left out of every component: what its page on the index says as well."""


def main(cyclonedx: str) -> None:
    """Writes the document with today's date.

    Args:
        cyclonedx: The executable cyclonedx-py.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    environment = {name: str(value) for name, value in default_environment().items()}
    document = trimmed(of_this_environment(cyclonedx, today), wanted(environment))
    document["metadata"]["properties"] = [
        {"name": f"environment:{name}", "value": environment[name]} for name in MARKERS
    ]
    write_json(SBOM, document)


def of_this_environment(cyclonedx: str, date: datetime) -> dict[str, Any]:
    """What cyclonedx-py says of the packages of this Python, the same bytes for the same ones."""
    command = [cyclonedx, "environment", "--pyproject", str(PYPROJECT), "--output-reproducible"]
    command += ["--short-PURLs", "--output-file", "-", sys.executable]
    times = {"SOURCE_DATE_EPOCH": str(int(date.timestamp()))}
    done = subprocess.run(command, env=os.environ | times, capture_output=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def wanted(environment: dict[str, str]) -> dict[NormalizedName, str]:
    """Names and versions that `make setup` installs.

    Args:
        environment: Values of PEP 508's markers, for which locked packages are chosen.
    """
    locked = {
        package.name: package.version
        for package in parse((LOCKS / "setup.lock").read_text("utf-8"))
        if not package.marker or Marker(package.marker).evaluate(environment)
    }
    pins = {canonicalize_name(name): version for name, version in pinned().items()}
    return locked | {name: pins[name] for name in OUTSIDE}


def trimmed(document: dict[str, Any], packages: dict[NormalizedName, str]) -> dict[str, Any]:
    """A document with these packages alone, without what makes it long; exits if one is absent.

    A build's own part of a version, +cpu for one, goes: what is pinned is the version before it.
    """
    components = {canonicalize_name(part["name"]): part for part in document["components"]}
    if absent := sorted(packages.keys() - components.keys()):
        sys.exit(f"error: not installed: {', '.join(absent)}; run: make setup")
    refs = {components[name]["bom-ref"]: f"{name}=={packages[name]}" for name in packages}
    root = document["metadata"]["component"]["bom-ref"]
    refs[root] = root
    for part in (*components.values(), *document["metadata"]["tools"]["components"]):
        for key in BULK:
            part.pop(key, None)
    for name, part in components.items():
        if name in packages:
            version = part["version"].split("+")[0]
            part |= {"version": version, "purl": f"pkg:pypi/{name}@{version}"}
            part["bom-ref"] = f"{name}=={version}"
    document["components"] = [components[name] for name in sorted(packages)]
    document["dependencies"] = [
        {"ref": refs[link["ref"]]}
        | {"dependsOn": sorted(refs[ref] for ref in link.get("dependsOn", []) if ref in refs)}
        for link in document["dependencies"]
        if link["ref"] in refs
    ]
    return document


if __name__ == "__main__":
    main(sys.argv[1])
