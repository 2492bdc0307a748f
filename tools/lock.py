"""Writes requirements/*.lock: versions of constraints.txt with the sha256 of each of their files.

    make lock

uv resolves what pyproject.toml asks for, for every platform and Python at once. A package comes
with the hashes of all its wheels and of its source, and with a marker where only some need it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName, canonicalize_name

from semflow.core.files import whole_file
from tools.closure import ROOT

PINNED = ROOT / "constraints.txt"
LOCKS = ROOT / "requirements"
PYPROJECT = ROOT / "pyproject.toml"
OUTSIDE = frozenset({canonicalize_name("torch"), canonicalize_name("torchvision")})
"""Pinned by version alone: each accelerator has a build, and so files, of its own."""
ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))? \\\n"
    r"(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"(?P<via>(?: +#.*\n)*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Locked:
    """A package of a lock.

    Attributes:
        name: As packaging normalizes it.
        version: The only one that may be installed.
        marker: Where it is needed, PEP 508; empty for everywhere.
        hashes: Hexadecimal sha256 of every file of this version.
        via: What needs it, normalized; only while a lock is written.
    """

    name: NormalizedName
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: frozenset[NormalizedName] = frozenset()


def main(uv: str) -> None:
    """Writes the locks of setup, build and the supply chain's own tools.

    Args:
        uv: Its executable.
    """
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))
    for name, (arguments, needs) in requests(project).items():
        path = LOCKS / f"{name}.lock"
        with whole_file(path) as made:
            if path.exists():
                # What is locked already stays in its version unless constraints.txt says otherwise.
                shutil.copyfile(path, made)
            resolve(uv, arguments, needs, made)
            kept = without_outside(parse(made.read_text("utf-8")), pinned())
            made.write_text(text_of(kept), "utf-8")


def requests(project: dict[str, Any]) -> dict[str, tuple[list[str], str]]:
    """For each lock, what uv reads: its arguments, and lines of requirements on its input."""
    supply = project["project"]["optional-dependencies"]["supply"]
    return {
        "setup": ([PYPROJECT.name, "--extra", "test"], ""),
        "build": (["-"], "\n".join(project["build-system"]["requires"])),
        "supply": (["-"], "\n".join(supply)),
    }


def resolve(uv: str, arguments: list[str], needs: str, out: Path) -> None:
    """Lets uv write a lock of its own form to `out`, which may hold an older one."""
    oldest = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["requires-python"]
    command = [uv, "pip", "compile", *arguments, "--output-file", str(out)]
    command += ["--universal", "--python-version", oldest.removeprefix(">=")]
    command += ["--constraint", str(PINNED), "--generate-hashes", "--no-header", "--no-config"]
    done = subprocess.run(command, cwd=ROOT, input=needs, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"error: uv found no versions that fit together:\n{done.stderr}")


def parse(text: str) -> list[Locked]:
    """The packages of a lock, in its order."""
    return [
        Locked(
            canonicalize_name(match["name"]),
            match["version"],
            match["marker"] or "",
            tuple(re.findall("[0-9a-f]{64}", match["hashes"])),
            frozenset(map(canonicalize_name, re.findall(r"[\w.-]{2,}", match["via"]))) - {"via"},
        )
        for match in ENTRY.finditer(text)
    ]


def without_outside(packages: list[Locked], pins: Iterable[str]) -> list[Locked]:
    """Leaves out torch, torchvision, and what only one of their builds needs.

    The latter, the libraries of an accelerator, are those that only these two lead to and
    constraints.txt does not pin.
    """
    known = {canonicalize_name(name) for name in pins}
    out = set(OUTSIDE)
    while True:
        more = {
            package.name
            for package in packages
            if package.name not in known and package.via and package.via <= out
        }
        if more <= out:
            return [package for package in packages if package.name not in out]
        out |= more


def text_of(packages: list[Locked]) -> str:
    """A lock as pip reads it."""
    lines = ["# Written by: make lock"]
    for package in packages:
        marker = f" ; {package.marker}" if package.marker else ""
        hashes = [f"    --hash=sha256:{value}" for value in package.hashes]
        lines.append(" \\\n".join([f"{package.name}=={package.version}{marker}", *hashes]))
    return "\n".join(lines) + "\n"


def pinned(path: Path = PINNED) -> dict[str, str]:
    """Names and versions of constraints.txt, in its order."""
    lines = path.read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {name.strip(): version.strip() for name, version in pairs}


if __name__ == "__main__":
    main(sys.argv[1])
