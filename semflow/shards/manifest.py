"""What a folder of shards holds: `manifest.json`, written last, with offsets and checksums."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from semflow.errors import UserError
from semflow.files import read_json, sha256_of, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Member:
    """Where one file of a sample lies in its tar: first byte and length of its content."""

    offset: int
    size: int


@dataclass(frozen=True)
class Entry:
    """One sample of a shard: its key and its members by extension, such as "image.png"."""

    key: str
    members: dict[str, Member]


@dataclass(frozen=True)
class Shard:
    """One tar: file name, length, checksum and its samples in order."""

    name: str
    bytes: int
    sha256: str
    samples: tuple[Entry, ...]


@dataclass(frozen=True)
class Manifest:
    """One split of a shard folder.

    Args:
        folder: holds the tars and the manifest.
        shards: the tars in order.
        about: what else a reader must know, such as the class table; JSON values only.
    """

    folder: Path
    shards: tuple[Shard, ...]
    about: dict[str, Any]

    def __len__(self) -> int:
        return sum(len(shard.samples) for shard in self.shards)

    def keys(self) -> list[str]:
        """The samples' keys in order."""
        return [entry.key for shard in self.shards for entry in shard.samples]


def write_manifest(manifest: Manifest) -> None:
    """Writes the manifest beside its tars: the mark that the folder is complete."""
    value = {"about": manifest.about, "shards": [asdict(shard) for shard in manifest.shards]}
    write_json(manifest.folder / MANIFEST, value)


def read_manifest(folder: Path) -> Manifest:
    """Opens a folder of shards.

    Raises:
        UserError: the folder has no manifest.
    """
    value = read_json(folder / MANIFEST)
    shards = tuple(
        Shard(
            name=shard["name"],
            bytes=shard["bytes"],
            sha256=shard["sha256"],
            samples=tuple(
                Entry(
                    key=entry["key"],
                    members={name: Member(**place) for name, place in entry["members"].items()},
                )
                for entry in shard["samples"]
            ),
        )
        for shard in value["shards"]
    )
    return Manifest(folder, shards, value["about"])


def verify_shards(manifest: Manifest, rebuild: str) -> None:
    """Compares every tar with its checksum.

    Args:
        manifest: of the folder.
        rebuild: the command that makes the folder anew, for the error.

    Raises:
        UserError: a tar is missing, cut short or altered.
    """
    for shard in manifest.shards:
        path = manifest.folder / shard.name
        if not path.is_file():
            raise UserError(f"{path} is missing; rebuild it: {rebuild}")
        if path.stat().st_size != shard.bytes:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes, its manifest says {shard.bytes}; "
                f"delete it and rebuild: {rebuild}"
            )
        if sha256_of(path) != shard.sha256:
            raise UserError(
                f"{path} was altered: its sha256 is not the manifest's; "
                f"delete it and rebuild: {rebuild}"
            )
