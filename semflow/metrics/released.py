"""Weight files that their authors released, told by their checksum from any other file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.metrics.weights import read_weights


@dataclass(frozen=True)
class Release:
    """One released file.

    Args:
        name: the file's own name.
        url: where its authors offer it.
        sha256: hexadecimal, of its bytes.
    """

    name: str
    url: str
    sha256: str


def read_release(release: Release, path: Path) -> dict[str, Tensor]:
    """Reads a state dict from the user's copy of a released file; nothing is downloaded.

    Args:
        release: what the file must be.
        path: the copy, under any name.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        UserError: there is no such file, it has other bytes, or it holds more than tensors.
    """
    if not path.is_file():
        raise UserError(
            f"no {release.name} at {path}; download {release.url} to there, or give its path"
        )
    found = sha256_of(path)
    if found != release.sha256:
        raise UserError(
            f"{path} is not {release.name}: its sha256 is {found[:12]}..., not "
            f"{release.sha256[:12]}...; download {release.url}"
        )
    return read_weights(path)
