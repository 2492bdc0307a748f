"""Targets that are files without a network: pictures and shards."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from semflow.cli.contents import describe, sound_manifest
from semflow.core.errors import UserError
from semflow.datasets.files import read_image, read_label
from semflow.shards.manifest import MANIFEST, Manifest, verify_shards, write_manifest
from semflow.shards.reading import ShardFolder, stream
from semflow.shards.tar import array_bytes, array_from, png_bytes, png_pixels, write_shard

SIDE = 8
TAR = "000000.tar"


def image(data: bytes, folder: Path) -> None:
    """An image file."""
    (folder / "image.png").write_bytes(data)
    read_image(folder / "image.png")


def label(data: bytes, folder: Path) -> None:
    """A label file."""
    (folder / "label.png").write_bytes(data)
    read_label(folder / "label.png")


def manifest(data: bytes, folder: Path) -> None:
    """A shard folder's manifest beside a sound tar."""
    shards = _shards(folder / "manifest").folder
    (shards / MANIFEST).write_bytes(data)
    describe(shards)
    list(ShardFolder(sound_manifest(shards))._starts)


def tar(data: bytes, folder: Path) -> None:
    """A tar beside a sound manifest, read by position, as a stream, and by its checksum."""
    found = _shards(folder / "tar")
    (found.folder / TAR).write_bytes(data)
    readers = (_read_by_position, lambda one: list(stream(one)), lambda one: verify_shards(one, ""))
    refused = []
    for read in readers:
        try:
            read(found)
        except UserError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def member(data: bytes, folder: Path) -> None:
    """A shard's picture or array."""
    (array_from if data.startswith(b"\x93") else png_pixels)(data)


def picture_seeds() -> Iterator[bytes]:
    """PNGs of every mode, a JPEG with EXIF, one that says it is 20,000 x 20,000."""
    for mode in ("1", "L", "P", "RGB", "RGBA", "I;16"):
        buffer = io.BytesIO()
        Image.new(mode, (5, 3)).save(buffer, "PNG")
        yield buffer.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        Image.new("L", (1, 9)).save(buffer, kind, exif=exif)
        yield buffer.getvalue()
    huge = bytearray(sound_png())
    huge[16:24] = (20_000).to_bytes(4, "big") * 2
    yield bytes(huge)


def member_seeds() -> Iterator[bytes]:
    """A picture, an array, and an array whose header promises a terabyte."""
    array = array_bytes(np.zeros((2, 3), np.float16))
    yield from (sound_png(), array, array.replace(b"(2, 3)", b"(999999999999,)"))


def manifest_seeds() -> Iterator[bytes]:
    """A sound manifest, and one with a key far longer than a tar's header has room for."""
    text = '{"about":{},"shards":[\n%s\n]}\n'
    line = {"name": TAR, "bytes": 1, "sha256": "", "keys": ["a"], "members": {"x": [[512], [1]]}}
    yield (text % json.dumps(line)).encode()
    yield (text % json.dumps({**line, "keys": ["a" * 200], "name": "../0.tar"})).encode()
    yield b'{"about":' + b"[" * 3000 + b',"shards":[\n]}\n'


def tar_seeds() -> Iterator[bytes]:
    """Absolute and parent paths, links, devices, names that are there twice, a sparse giant."""
    for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        for name in ("/etc/passwd", "../../0.image.png", "0.image.png"):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as made:
                for _ in range(2):
                    header = tarfile.TarInfo(name)
                    header.type, header.linkname = kind, "/etc/passwd"
                    header.size = 4 if kind == tarfile.REGTYPE else 0
                    made.addfile(header, io.BytesIO(b"abcd"))
            yield buffer.getvalue()
    giant = tarfile.TarInfo("0.image.png")
    giant.type, giant.size = tarfile.GNUTYPE_SPARSE, 2**40
    yield giant.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def _read_by_position(found: Manifest) -> None:
    shards = ShardFolder(found)
    for position in range(len(shards)):
        png_pixels(shards.read(position, "image.png"))


def sound_png() -> bytes:
    """A label of one class."""
    return png_bytes(np.zeros((SIDE, SIDE), np.uint8))


@cache
def _shards(folder: Path) -> Manifest:
    folder.mkdir()
    records = [(str(number), {"image.png": sound_png()}) for number in range(2)]
    return write_manifest(folder, {}, [write_shard(records, folder / TAR)])
