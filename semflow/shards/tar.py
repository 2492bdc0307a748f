"""WebDataset tars with the same bytes for the same samples, and random access into them."""

from __future__ import annotations

import io
import mmap
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.files import sha256_of
from semflow.shards.manifest import Entry, Manifest, Member, Shard

Record = tuple[str, Mapping[str, bytes]]


def write_shards(
    records: Iterable[Record], folder: Path, samples_per_shard: int
) -> tuple[Shard, ...]:
    """Packs records into `000000.tar`, `000001.tar`, ... in their order.

    Args:
        records: (key, {extension: content}); a key has no dot, since WebDataset splits there.
        folder: exists and receives the tars.
        samples_per_shard: samples in each tar but the last.
    """
    iterator = iter(records)
    shards: list[Shard] = []
    while batch := list(islice(iterator, samples_per_shard)):
        shards.append(_write_shard(batch, folder / f"{len(shards):06d}.tar"))
    return tuple(shards)


def _write_shard(records: list[Record], path: Path) -> Shard:
    samples = []
    # USTAR with every field fixed: no times, owners or padding of the machine in the bytes.
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, contents in records:
            members = {}
            for extension in sorted(contents):
                content = contents[extension]
                header = tarfile.TarInfo(f"{key}.{extension}")
                header.size, header.mode = len(content), 0o644
                members[extension] = Member(tar.offset + tarfile.BLOCKSIZE, len(content))
                tar.addfile(header, io.BytesIO(content))
            samples.append(Entry(key, members))
    return Shard(path.name, path.stat().st_size, sha256_of(path), tuple(samples))


class ShardFolder:
    """Samples of a shard folder by position, memory-mapped: only what is asked for is read."""

    def __init__(self, manifest: Manifest) -> None:
        self.folder = manifest.folder
        self._maps = []
        for shard in manifest.shards:
            with (manifest.folder / shard.name).open("rb") as file:
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._entries = [
            (number, entry)
            for number, shard in enumerate(manifest.shards)
            for entry in shard.samples
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, position: int) -> str:
        """The key of the sample at a position."""
        return self._entries[position][1].key

    def read(self, position: int, extension: str) -> bytes:
        """The content of one member of the sample at a position."""
        number, entry = self._entries[position]
        member = entry.members[extension]
        return self._maps[number][member.offset : member.offset + member.size]


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
