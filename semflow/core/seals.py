"""Checksums beside the files of a folder: whoever reads it later knows that no byte has changed.

DVC takes an object of its cache for sound, and a workspace that was checked out from it, without
reading either again.
"""

from __future__ import annotations

from pathlib import Path

from semflow.core.errors import UserError
from semflow.core.files import read_json, sha256_of, write_json

SEAL = "checksums.json"


def seal(folder: Path) -> None:
    """Writes SEAL into a folder: the sha256 of every file that is below it, by relative path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}
    write_json(folder / SEAL, found)


def check_seal(folder: Path) -> None:
    """Compares the files of a folder with its seal; a folder of an earlier version has none.

    Raises:
        UserError: A file is missing or altered, or the seal is none.
    """
    if not (folder / SEAL).is_file():
        return
    known = read_json(folder / SEAL)
    if not isinstance(known, dict) or any(Path(name).is_absolute() for name in known):
        raise UserError(f"{folder / SEAL} is no list of checksums; {_cure(folder)}")
    for name, checksum in known.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing; {_cure(folder)}")
        if sha256_of(path) != checksum:
            raise UserError(f"{path} was altered: its sha256 is not the seal's; {_cure(folder)}")


def _cure(folder: Path) -> str:
    return (
        f"delete {folder} and DVC's cached copy of it, and fetch or make it anew: "
        "dvc pull, or dvc repro -f on its stage"
    )
