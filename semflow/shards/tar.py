"""What a tar is made of: its bytes for given samples, and the forms of pixels and arrays in it."""

from __future__ import annotations

import io
import tarfile
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.core.decoding import Undecodable, decoded
from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.shards.manifest import Shard

Record = tuple[str, Mapping[str, bytes]]
"""A sample's key, which has no dot since WebDataset splits there, and {extension: content}."""
_REBUILD = "run again the stage that makes it"
_ODD_HEADER = (
    *(ValueError, TypeError, SyntaxError, RecursionError, MemoryError),
    # NumPy reads a header that is no literal once more, as one of Python 2.
    tokenize.TokenError,
)


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
    """The inverse of `png_bytes`.

    Raises:
        UserError: The content is no PNG that can be read, or one of other than 8 bits a channel.
    """
    try:
        pixels = np.asarray(decoded(io.BytesIO(content), ("PNG",))[0])
    except Undecodable as error:
        raise UserError(f"a shard's picture {error}; {_REBUILD}") from None
    if pixels.dtype != np.uint8:
        raise UserError(f"a shard's picture has {pixels.dtype} pixels, not uint8; {_REBUILD}")
    return pixels


def array_bytes(array: NDArray[np.generic]) -> bytes:
    """An array as an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def array_from(content: bytes) -> NDArray[np.generic]:
    """The inverse of `array_bytes`; never unpickles, and takes no more memory than the content.

    Raises:
        UserError: The content is no .npy file of numbers, or has not as many as its header says.
    """
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of .npy than 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError("objects, which would be unpickled")
        array = np.frombuffer(content, dtype, offset=file.tell())
        return array.reshape(shape, order="F" if fortran else "C")
    except _ODD_HEADER as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"a shard's array is unreadable ({said}); {_REBUILD}") from None
