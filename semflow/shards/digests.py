"""What images and labels of a shard folder are, whatever colours the palette gives them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from semflow.core.files import read_json, write_json
from semflow.shards.tar import ShardFolder


@dataclass(frozen=True)
class SplitDigests:
    """One split's.

    Args:
        samples: how many it has.
        shards: for each shard in order the digest of its keys, images and labels.
    """

    samples: int
    shards: tuple[str, ...]


class ShardDigest:
    """A sha256 that takes a shard's samples one by one."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()
        self._samples = 0

    def update(self, key: str, image: bytes, label: bytes) -> None:
        """Takes in the next sample; image and label as PNGs."""
        # Each is hashed for itself, so that no byte can pass from one to its neighbour.
        for content in (key.encode(), image, label):
            self._sum.update(hashlib.sha256(content).digest())
        self._samples += 1

    def hexdigest(self) -> str:
        """Hexadecimal, of the samples so far."""
        return self._sum.hexdigest()

    def facts(self) -> dict[str, object]:
        """How many samples there were, and their digest: what a shard's note keeps."""
        return {"samples": self._samples, "digest": self.hexdigest()}


def digest_of(folder: ShardFolder) -> str:
    """The digest of all samples of a folder, which is opened on one shard."""
    digest = ShardDigest()
    for position in range(len(folder)):
        image, label = (folder.read(position, name) for name in ("image.png", "label.png"))
        digest.update(folder.key(position), image, label)
    return digest.hexdigest()


def write_digests(path: Path, digests: Mapping[str, SplitDigests]) -> None:
    """Writes every split's."""
    write_json(path, {split: asdict(value) for split, value in digests.items()})


def read_digests(path: Path) -> dict[str, SplitDigests]:
    """Reads what `write_digests` wrote.

    Raises:
        UserError: the file is absent or not JSON.
    """
    return {
        split: SplitDigests(value["samples"], tuple(value["shards"]))
        for split, value in read_json(path).items()
    }
