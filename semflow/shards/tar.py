"""What a tar is made of: its bytes for given samples, and the forms of pixels and arrays in it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.files import sha256_of
from semflow.shards.manifest import Shard

Record = tuple[str, Mapping[str, bytes]]
"""A sample's key, which has no dot since WebDataset splits there, and {extension: content}."""


def write_shard(records: Iterable[Record], path: Path) -> Shard:
    """Packs records into a tar in their order.

    Args:
        records: all with the same extensions; taken one by one.
        path: receives the tar.

    Raises:
        ValueError: a record has other extensions than the first.
    """
    keys: list[bytes] = []
    members: dict[str, list[tuple[int, int]]] = {}
    # USTAR with every field fixed: no times, owners or padding of the machine in the bytes.
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, contents in records:
            if keys and contents.keys() != members.keys():
                raise ValueError(f"{key} has {sorted(contents)}, others {sorted(members)}")
            keys.append(key.encode())
            for extension in sorted(contents):
                header = tarfile.TarInfo(f"{key}.{extension}")
                header.size, header.mode = len(contents[extension]), 0o644
                place = (tar.offset + tarfile.BLOCKSIZE, header.size)
                members.setdefault(extension, []).append(place)
                tar.addfile(header, io.BytesIO(contents[extension]))
    places = {name: np.array(found, np.int64).T for name, found in members.items()}
    return Shard(path.name, path.stat().st_size, sha256_of(path), np.array(keys, np.bytes_), places)


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
