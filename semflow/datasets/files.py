"""Reading a sample's own image and label files; what is wrong with one is said in one line.

Known by content and never by name: images are PNG or JPEG, labels PNG; no other decoder is ever
asked. Decoding is preceded by a look at the header, which says how large the picture will be.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from semflow.core.decoding import Undecodable, decoded
from semflow.core.errors import UserError
from semflow.core.passing import is_passing
from semflow.core.retrying import patiently
from semflow.datasets.base import UnreadableSample

IMAGE_FORMATS = ("PNG", "JPEG")
LABEL_FORMATS = ("PNG",)
"""JPEG loses ids."""
PRINT_MODE = "CMYK"
SCALED_BY = {2: 85, 4: 17}
"""What Pillow multiplies the levels of a grey PNG by, by bits a pixel, so that the last is 255."""
ORIENTATION_TAG = 0x0112
"""EXIF's; 1 is upright."""
FIRST_LYING = 5
"""From this orientation on, height and width change places."""


def load_image(path: Path, formats: tuple[str, ...] = IMAGE_FORMATS) -> Image.Image:
    """An image file, decoded, of up to 8 bits a channel, in whatever mode it has, not yet turned.

    Args:
        path: The file.
        formats: Pillow's names of those that it may have.

    Raises:
        UnreadableSample: The file is missing, no regular one, cut short, too large, of another
            format, or has 16 bits a channel.
        OSError: The file system keeps failing in a way that passes by itself; the file is not to
            blame.
    """
    return _open(path, formats)[0]


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says.

    Raises:
        UnreadableSample: As `load_image`; or a pixel is transparent, or its colours are of print,
            so that what is seen depends on more than the file.
        OSError: As `load_image`.
    """
    image = load_image(path)
    if image.mode == PRINT_MODE:
        raise UnreadableSample(f"{path.name} has mode {PRINT_MODE}; convert it to RGB")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise UnreadableSample(f"{path.name} has transparent pixels; lay it on a ground")
    try:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, TypeError, struct.error) as error:
        raise UnreadableSample(f"{path.name} has unreadable EXIF data ({error})") from None


def read_label(path: Path) -> NDArray[np.uint8]:
    """A label file as (H, W) uint8, the ids as they are stored.

    A greyscale or indexed PNG of 1, 2, 4 or 8 bits a pixel; colours and transparency of an indexed
    one are no matter.

    Raises:
        UnreadableSample: As `load_image`; or the PNG holds no ids, or is to be turned by its EXIF
            orientation.
        OSError: As `load_image`.
    """
    image, depth = _open(path, LABEL_FORMATS)
    if image.mode not in ("1", "L", "P"):
        raise UnreadableSample(f"{path.name} has mode {image.mode}, a label has one id for a pixel")
    if image.getexif().get(ORIENTATION_TAG, 1) != 1:
        raise UnreadableSample(f"{path.name} has an EXIF orientation; store it upright")
    ids = np.asarray(image).astype(np.uint8)
    return ids if image.mode == "P" else ids // np.uint8(SCALED_BY.get(depth, 1))


def read_pair(image: Path, label: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image file (H, W, 3) and its label file (H, W), uint8 both.

    Raises:
        UnreadableSample: as `read_image` and `read_label`, or the two differ in size.
    """
    ids, pixels = read_label(label), read_image(image)
    if pixels.shape[:2] != ids.shape:
        raise UnreadableSample(f"image is {pixels.shape[:2]} but its label {ids.shape}")
    return pixels, ids


def map_ids(label: NDArray[np.uint8], mapping: Mapping[int, int]) -> NDArray[np.uint8]:
    """Turns raw ids into class ids.

    Args:
        label: (H, W) uint8, raw ids.
        mapping: the class id, or 255 for ignore, of each raw id.

    Raises:
        UnreadableSample: an id that is not in the mapping.
    """
    unknown = np.setdiff1d(label, list(mapping))
    if unknown.size:
        raise UnreadableSample(f"label id {unknown[0]} is outside the mapping")
    table = np.zeros(256, np.uint8)
    table[list(mapping)] = list(mapping.values())
    return table[label]


def require(raw: Path, names: Iterable[str], origin: str) -> None:
    """Makes sure that a raw tree has what its reader opens.

    Args:
        raw: the data set's folder.
        names: files and folders in it.
        origin: where a user gets them.

    Raises:
        UserError: one is missing: which, where to get it and where it goes.
    """
    for name in names:
        if not (raw / name).exists():
            raise UserError(
                f"{raw / name} is missing; {origin}; they go into {raw} (a link will do)"
            )


def names_in(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Names of a folder's files with one of the endings (small letters), sorted; none hidden.

    Raises:
        UserError: it is no folder, or there is no such file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; unpack the download again")
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    )
    if not names:
        raise UserError(f"{folder} holds no file named *{' or *'.join(endings)}; unpack it again")
    return names


def _open(path: Path, formats: tuple[str, ...]) -> tuple[Image.Image, int]:
    """As `load_image`, and how many bits a channel has."""

    def read() -> tuple[Image.Image, int]:
        """Reads the file once."""
        # Who opens a pipe waits for who writes it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Undecodable("is no regular file")
        with path.open("rb") as file:
            return decoded(file, formats)

    try:
        return patiently(read)
    except FileNotFoundError:
        raise UnreadableSample(f"{path.name} is missing") from None
    except Undecodable as error:
        raise UnreadableSample(f"{path.name} {error}") from None
    except OSError as error:
        if is_passing(error):
            raise
        raise UnreadableSample(f"{path.name} is unreadable ({error.strerror or error})") from None
    except ValueError as error:
        # A name with a zero byte.
        raise UnreadableSample(f"{path.name!r} is unreadable ({error})") from None
