"""Decoding a picture out of bytes: known by content, and refused before memory is made for it.

No other decoder than those that are asked for is ever tried, and the header is looked at first.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO

from PIL import Image, UnidentifiedImageError

from semflow.core.passing import is_passing

LARGEST_AREA = 2**26
"""Pixels, 67,108,864: 200 MB as RGB, of which a worker holds several copies."""
BYTE = 8
"""Bits a channel."""
_SIGNATURE, _FIRST_CHUNK, _LAST_CHUNK = b"\x89PNG\r\n\x1a\n", b"IHDR", b"IEND"
_CHUNK_EDGES = 12
"""Bytes of a chunk beside its content: length, name, checksum."""
_DEPTH = 24
"""Where a PNG says its bits a channel: after the first chunk's length and name, width, height."""
_ODD_CONTENT = (SyntaxError, ValueError, EOFError, zlib.error, struct.error)
"""What Pillow raises at content that is not what its header says."""


class Undecodable(Exception):
    """Why bytes are no picture that is taken; the text goes behind a name."""


def decoded(file: IO[bytes], formats: tuple[str, ...]) -> tuple[Image.Image, int]:
    """An image of a stream, decoded, and its bits a channel; the stream need not have a name.

    Args:
        file: At its start; it can be sought.
        formats: Pillow's names of those that it may have.

    Raises:
        Undecodable: They are cut short, too large, of another format, or have 16 bits a channel.
        OSError: The file system keeps failing in a way that passes by itself.
    """
    try:
        return _decode(file, formats)
    except UnidentifiedImageError:
        raise Undecodable(f"is unreadable (no {' or '.join(formats)} inside)") from None
    except OSError as error:
        if is_passing(error):
            raise
        raise Undecodable(f"is unreadable ({error.strerror or error})") from None
    except _ODD_CONTENT as error:
        raise Undecodable(f"is unreadable ({error})") from None
    except Image.DecompressionBombError as error:
        raise Undecodable(f"is too large ({error})") from None


def check_chunks(file: IO[bytes]) -> None:
    """Refuses a PNG with a chunk longer than the file, which its decoder would make room for.

    Args:
        file: Of any format; at its start afterwards.

    Raises:
        Undecodable: There is one; the text goes behind a name.
    """
    file.seek(0)
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        file.seek(0)
        return
    end = file.seek(0, io.SEEK_END)
    place = len(_SIGNATURE)
    while place + _CHUNK_EDGES <= end:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        place += length + _CHUNK_EDGES
        if place > end:
            raise Undecodable("is unreadable (image file is truncated: a chunk is longer)")
        if name == _LAST_CHUNK:
            break
    file.seek(0)


def _decode(file: IO[bytes], formats: tuple[str, ...]) -> tuple[Image.Image, int]:
    head = file.read(_DEPTH + 1)
    check_chunks(file)
    image = Image.open(file, formats=formats)
    depth = head[_DEPTH] if head.startswith(_SIGNATURE) else BYTE
    if image.format == "PNG" and head[12:16] != _FIRST_CHUNK:
        raise Undecodable("is unreadable (its header is not at its head)")
    if depth > BYTE:
        raise Undecodable(f"has {depth} bits a channel; choose what is white, convert it to 8")
    if image.width * image.height > LARGEST_AREA:
        raise Undecodable(
            f"has {image.width}x{image.height} pixels, {LARGEST_AREA} are allowed; make it smaller"
        )
    image.load()
    return image, depth
