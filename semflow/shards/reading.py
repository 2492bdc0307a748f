"""Reading shards: one after another as WebDataset streams them, or any sample by its position."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping

import numpy as np

from semflow.core.errors import UserError
from semflow.shards.manifest import Manifest


def stream(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Keys and members of all samples in order, tar by tar, as webdataset reads them.

    Raises:
        UserError: A tar holds other samples than the manifest names.
    """
    # Imported here: it takes torch along.
    import webdataset

    for shard in manifest.shards():
        # Whoever calls has chosen the tars: no node or worker leaves any out.
        samples = webdataset.WebDataset(
            [f"file:{(manifest.folder / shard.name).absolute()}"],
            shardshuffle=False,
            nodesplitter=None,
            workersplitter=None,
            empty_check=False,
        )
        keys = []
        for sample in samples:
            keys.append(sample["__key__"].encode())
            yield sample["__key__"], {name: sample[name] for name in shard.members}
        if keys != shard.keys.tolist():
            raise UserError(
                f"{manifest.folder / shard.name} holds other samples than its manifest names; "
                "run again the stage that makes it"
            )


class ShardFolder:
    """Samples of a shard folder by position, memory-mapped: only what is asked for is read.

    Keys and places are held as arrays, some tens of bytes for each sample.

    Raises:
        UserError: a tar is missing.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.folder = manifest.folder
        shards = list(manifest.shards())
        self._maps = [_map(manifest, shard.name) for shard in shards]
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._keys = np.concatenate([np.empty(0, "S1"), *(shard.keys for shard in shards)])
        self._places = {
            extension: np.concatenate([shard.members[extension] for shard in shards], axis=1)
            for extension in (shards[0].members if shards else ())
        }

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, position: int) -> str:
        """The key of the sample at a position."""
        key: bytes = self._keys[position]
        return key.decode()

    def read(self, position: int, extension: str) -> bytes:
        """The content of one member of the sample at a position."""
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        offset, size = self._places[extension][:, position].tolist()
        return self._maps[number][offset : offset + size]


def batches(folder: ShardFolder, batch_size: int) -> Iterator[range]:
    """Positions of a folder in order, batch by batch; the last may be smaller."""
    for start in range(0, len(folder), batch_size):
        yield range(start, min(start + batch_size, len(folder)))


def _map(manifest: Manifest, name: str) -> mmap.mmap:
    try:
        with (manifest.folder / name).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        raise UserError(
            f"{manifest.folder / name} is missing or empty; run again the stage that makes it"
        ) from None
