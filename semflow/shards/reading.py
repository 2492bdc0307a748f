"""Reading shards: one after another as WebDataset streams them, or any sample by its position."""

from __future__ import annotations

import mmap
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semflow.core.errors import UserError
from semflow.shards.manifest import BLOCK, Manifest, is_header_of, misplaced

OPEN_TARS = 64
"""Of one folder. A process may have 1024 files open, and training reads three folders."""


def stream(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """Keys and members of all samples in order, tar by tar, as webdataset reads them.

    Raises:
        UserError: A tar holds other samples than the manifest names.
    """
    # Imported here: it takes torch along.
    import webdataset

    for shard in manifest.shards():
        path = _present(manifest.folder / shard.name)
        # A link, a sparse giant or a compressed bomb must not reach a reader that follows it.
        if misplaced(path, shard):
            raise _other_samples(path)
        # Whoever calls has chosen the tars: no node or worker leaves any out.
        samples = webdataset.WebDataset(
            [f"file:{path.absolute()}"],
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
            raise _other_samples(path)


class ShardFolder:
    """Samples of a shard folder by position, memory-mapped: only what is asked for is read.

    Keys and places are held as arrays, some tens of bytes for each sample. The OPEN_TARS tars that
    were read last stay open.

    Raises:
        UserError: a tar is missing.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.folder = manifest.folder
        shards = list(manifest.shards())
        self._tars = [_present(manifest.folder / shard.name) for shard in shards]
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()
        self._starts = np.cumsum([0, *(len(shard) for shard in shards)])
        self._keys = np.concatenate([np.empty(0, "S1"), *(shard.keys for shard in shards)])
        self._places = {
            extension: np.concatenate([shard.members[extension] for shard in shards], axis=1)
            for extension in (shards[0].members if shards else ())
        }

    def __getstate__(self) -> dict[str, Any]:
        """Without open tars: a process that gets a copy opens its own."""
        return {**self.__dict__, "_maps": OrderedDict()}

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, position: int) -> str:
        """The key of the sample at a position."""
        key: bytes = self._keys[position]
        return key.decode()

    def read(self, position: int, extension: str) -> bytes:
        """The content of one member of the sample at a position.

        Raises:
            UserError: The tar has another member there.
        """
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        offset, size = self._places[extension][:, position].tolist()
        tar, member = self._map(number), f"{self.key(position)}.{extension}"
        if offset < BLOCK or not is_header_of(tar[offset - BLOCK : offset], member, size):
            raise UserError(
                f"{self._tars[number]} has no {member} where its manifest says; "
                "run again the stage that makes it"
            )
        return tar[offset : offset + size]

    def _map(self, number: int) -> mmap.mmap:
        """A tar's bytes; of the open ones, that which was not read for longest gives way."""
        if number not in self._maps:
            with self._tars[number].open("rb") as file:
                self._maps[number] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps.move_to_end(number)
        if len(self._maps) > OPEN_TARS:
            # Not closed here: another thread may be reading it.
            self._maps.popitem(last=False)
        return self._maps[number]


def batches(folder: ShardFolder, batch_size: int) -> Iterator[range]:
    """Positions of a folder in order, batch by batch; the last may be smaller."""
    for start in range(0, len(folder), batch_size):
        yield range(start, min(start + batch_size, len(folder)))


def _other_samples(path: Path) -> UserError:
    return UserError(
        f"{path} holds other samples than its manifest names; run again the stage that makes it"
    )


def _present(path: Path) -> Path:
    if not path.is_file() or path.stat().st_size == 0:
        raise UserError(f"{path} is missing or empty; run again the stage that makes it")
    return path
