"""Random access into shards, and the forms that pixels and arrays have in them."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.errors import UserError
from semflow.shards.manifest import Manifest


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


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB or (H, W) ids, uint8, as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def png_pixels(content: bytes) -> NDArray[np.uint8]:
    """The inverse of `png_bytes`."""
    return np.asarray(Image.open(io.BytesIO(content)))


def array_bytes(array: NDArray[np.generic]) -> bytes:
    """An array as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def array_from(content: bytes) -> NDArray[np.generic]:
    """The inverse of `array_bytes`; never unpickles."""
    array: NDArray[np.generic] = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _map(manifest: Manifest, name: str) -> mmap.mmap:
    try:
        with (manifest.folder / name).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):
        raise UserError(
            f"{manifest.folder / name} is missing or empty; run again the stage that makes it"
        ) from None
