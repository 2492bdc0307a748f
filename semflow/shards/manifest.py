"""What a folder of shards holds: `manifest.json`, written last, with offsets and checksums.

One tar a line, its samples by column, so that a manifest of any length is written and read tar by
tar, and is still one valid JSON document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.files import sha256_of

MANIFEST = "manifest.json"
OPENING = '{"about":'
SHARDS = ',"shards":['
CLOSING = b"]}"
BLOCK = 512
"""Bytes of a tar's header, which stands right before a member's content."""
_NAME, _SIZE, _TYPE = slice(0, 100), slice(124, 136), slice(156, 157)
"""Where a plain header has a member's name, its length in octal digits, and that it is a file."""
_LONGEST_NAME = 100
"""Bytes of that name."""
_ODD_FORM = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
"""What reading a line raises that no stage has written."""


@dataclass(frozen=True, eq=False)
class Shard:
    """One tar of n samples.

    Args:
        name: file name.
        bytes: length.
        sha256: checksum.
        keys: (n,) UTF-8, in order.
        members: for each extension, such as "image.png", (2, n) int64: where the content of each
            sample's member starts in the tar, and its length, bytes.
    """

    name: str
    bytes: int
    sha256: str
    keys: NDArray[np.bytes_]
    members: dict[str, NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.keys)

    def columns(self) -> dict[str, Any]:
        """Keys and members as JSON values."""
        return {
            "keys": [key.decode() for key in self.keys.tolist()],
            "members": {name: places.tolist() for name, places in self.members.items()},
        }


@dataclass(frozen=True, eq=False)
class Manifest:
    """One split of a shard folder; what it says of the tars stays on disk until it is asked for.

    Args:
        folder: holds the tars and the manifest.
        about: what else a reader must know, such as the class table; JSON values only.
        lines: (tars + 1,) int64, where each tar's line starts in the manifest, and the end.
    """

    folder: Path
    about: dict[str, Any]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        """How many samples there are."""
        return sum(len(shard) for shard in self.shards())

    @property
    def tars(self) -> int:
        """How many tars there are."""
        return len(self.lines) - 1

    def shards(self) -> Iterator[Shard]:
        """The tars in order, read one by one.

        Raises:
            UserError: A line does not have the form that `write_manifest` gives it, or a tar's
                name leads out of the folder.
        """
        with (self.folder / MANIFEST).open("rb") as file:
            for start, end in pairwise(self.lines.tolist()):
                file.seek(start)
                yield self._checked(file.read(end - start))

    def sizes(self) -> list[int]:
        """How many samples each tar has."""
        return [len(shard) for shard in self.shards()]

    def keys(self) -> Iterator[str]:
        """The samples' keys in order."""
        for shard in self.shards():
            yield from (key.decode() for key in shard.keys.tolist())

    def _checked(self, line: bytes) -> Shard:
        try:
            shard = _shard_from(line)
        except _ODD_FORM:
            raise _no_manifest(self.folder / MANIFEST) from None
        # What follows opens it below the folder.
        if Path(shard.name).name != shard.name or not shard.name.endswith(".tar"):
            raise UserError(
                f"{self.folder / MANIFEST} names a tar {shard.name!r}, which is no plain name; "
                "delete its folder and run: dvc repro"
            )
        return shard

    def only(self, number: int) -> Manifest:
        """The same folder with one tar alone, counted from 0."""
        return Manifest(self.folder, self.about, self.lines[number : number + 2])


def shard_from_columns(name: str, length: int, sha256: str, columns: dict[str, Any]) -> Shard:
    """The inverse of `Shard.columns`; other columns are passed over."""
    return Shard(
        name,
        length,
        sha256,
        np.array([key.encode() for key in columns["keys"]], dtype=np.bytes_),
        {name: np.array(places, np.int64) for name, places in columns["members"].items()},
    )


def write_manifest(folder: Path, about: dict[str, Any], shards: Iterable[Shard]) -> Manifest:
    """Writes the manifest beside its tars: the mark that the folder is complete.

    Args:
        folder: holds the tars.
        about: what else a reader must know; JSON values.
        shards: the tars in order; taken one by one.
    """
    partial = folder / f".{MANIFEST}.partial"
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(OPENING + _compact(about) + SHARDS)
        for number, shard in enumerate(shards):
            value = {"name": shard.name, "bytes": shard.bytes, "sha256": shard.sha256}
            file.write(("," if number else "") + "\n" + _compact({**value, **shard.columns()}))
        file.write("\n" + CLOSING.decode() + "\n")
    partial.replace(folder / MANIFEST)
    return read_manifest(folder)


def read_manifest(folder: Path) -> Manifest:
    """Opens a folder of shards.

    Raises:
        UserError: the folder has no manifest, or one that was cut short or is of another version.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            head, position, lines = file.readline(), file.tell(), []
            for line in file:
                lines.append(position)
                position += len(line)
    except FileNotFoundError:
        raise UserError(f"{path} not found; run the stage that makes it: dvc repro") from None
    if not (head.endswith(SHARDS.encode() + b"\n") and lines and line.strip() == CLOSING):
        raise UserError(
            f"{path} was cut short or is of another version; delete its folder and run: dvc repro"
        )
    try:
        about = dict(json.loads(head.strip() + CLOSING)["about"])
    except _ODD_FORM:
        raise _no_manifest(path) from None
    return Manifest(folder, about, np.array(lines, np.int64))


def read_manifests(folder: Path) -> dict[str, Manifest]:
    """The manifest of every split of a stage's output, by name, sorted.

    Raises:
        UserError: There is no split, or a manifest that is none.
    """
    splits = sorted(path.name for path in folder.glob("*/") if path.is_dir())
    if not splits:
        raise UserError(f"{folder} holds no split; run the stage that makes it: dvc repro")
    return {split: read_manifest(folder / split) for split in splits}


def same_keys(one: Manifest, other: Manifest) -> bool:
    """Whether two folders hold the same samples in the same order."""
    return all(mine == theirs for mine, theirs in zip_longest(one.keys(), other.keys()))


def is_header_of(block: bytes, member: str, size: int) -> bool:
    """Whether a block of a tar is the header of a member.

    Args:
        block: The BLOCK bytes before its content.
        member: Its name.
        size: Length of its content, bytes.
    """
    plain = block[_SIZE] == b"%011o\0" % size and block[_TYPE] == b"0"
    return plain and block[_NAME].rstrip(b"\0") == member.encode()


def verify_shards(manifest: Manifest, rebuild: str) -> None:
    """Compares every tar with its checksum, and the manifest's places with the tar's own headers.

    Args:
        manifest: of the folder.
        rebuild: the command that makes the folder anew, for the error.

    Raises:
        UserError: a tar is missing, cut short or altered, or has another member at a place.
    """
    for shard in manifest.shards():
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
        if wrong := misplaced(path, shard):
            raise UserError(
                f"{manifest.folder / MANIFEST} was altered: {wrong} is not where it says; "
                f"delete its folder and rebuild: {rebuild}"
            )


def misplaced(path: Path, shard: Shard) -> str:
    """What is not at its place in a tar, a member's name or its end; empty if all is.

    All is where members of the manifest alone, plain files, stand one after another from the first
    byte: nothing between or behind them is left for another reader to find.
    """
    ends = [0]
    with path.open("rb") as tar:
        for extension, (offsets, sizes) in shard.members.items():
            for key, offset, size in zip(
                shard.keys.tolist(), offsets.tolist(), sizes.tolist(), strict=True
            ):
                member = f"{key.decode()}.{extension}"
                # No member begins before the first header ends.
                if offset < BLOCK or size < 0:
                    return member
                tar.seek(offset - BLOCK)
                if not is_header_of(tar.read(BLOCK), member, size):
                    return member
                ends.append(offset + -(-size // BLOCK) * BLOCK)
        tar.seek(max(ends))
        behind = tar.read(BLOCK).strip(b"\0")
    starts = [offset - BLOCK for offsets, _ in shard.members.values() for offset in offsets]
    return "" if sorted(starts) == sorted(ends)[:-1] and not behind else "what stands between"


def _shard_from(line: bytes) -> Shard:
    """A tar's line.

    Raises:
        ValueError: Or another of _ODD_FORM: it has another form than `write_manifest` gives it.
    """
    value = json.loads(line.rstrip(b",\n"))
    keys, name, sha256 = value["keys"], value["name"], value["sha256"]
    if not (isinstance(keys, list) and isinstance(name, str) and isinstance(sha256, str)):
        raise ValueError("other types")
    # All keys take the room of the longest.
    if any(not 0 < len(key.encode()) <= _LONGEST_NAME or "\0" in key for key in keys):
        raise ValueError("a key that no tar holds")
    shard = shard_from_columns(name, value["bytes"], sha256, value)
    if any(places.shape != (2, len(keys)) for places in shard.members.values()):
        raise ValueError("not as many places as keys")
    return shard


def _no_manifest(path: Path) -> UserError:
    return UserError(
        f"{path} does not have the form of a manifest; delete its folder and run: dvc repro"
    )


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
