"""Which commit a result belongs to: looked up in the history of dvc.lock by its content.

A checkpoint cannot hold the commit that holds its hash, so nothing is written into it; any copy of
it, wherever it came from, is found again by its bytes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

LOCK = "dvc.lock"


def commit_lines(path: Path) -> list[str]:
    """One line: the first commit whose dvc.lock holds this result, or that none does.

    Empty where the current folder has no history of dvc.lock to look in.
    """
    command = ["git", "log", "--reverse", f"-S{dvc_md5(path)}", "--format=%h %cs %s", "--", LOCK]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    if not Path(LOCK).is_file():
        return []
    first = found.partition("\n")[0]
    return [f"  commit: {first or f'none; no dvc.lock in this history holds {dvc_md5(path)}'}"]


def dvc_md5(path: Path) -> str:
    """The hash by which dvc.lock knows a file, or a folder by the hashes of its files."""
    if path.is_file():
        return _md5(path)
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listing = [{"md5": _md5(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
