from __future__ import annotations

import errno
import io
import os
import signal
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semflow.core import retrying
from semflow.core.decoding import LARGEST_AREA
from semflow.datasets.base import UnreadableSample
from semflow.datasets.files import map_ids, read_image, read_label, read_pair
from semflow.evaluation.score_files import size_of

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3)).astype(np.uint8)
ORIENTATION, LIES_ON_ITS_LEFT, HALF_TURN = 0x0112, 6, 3


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """A PNG of any depth and colour type, made of its packed rows without their filter bytes."""
    each = len(rows) // height
    filtered = b"".join(b"\0" + rows[i * each : (i + 1) * each] for i in range(height))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(filtered)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def packed(ids: np.ndarray, depth: int) -> bytes:
    """Ids of a few bits each, as a PNG packs them; a row fills whole bytes."""
    bits = np.unpackbits(ids[..., None].astype(np.uint8), axis=2)[..., 8 - depth :]
    return np.packbits(bits.reshape(len(ids), -1), axis=1).tobytes()


def turned(way: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = way
    return exif


@contextmanager
def within(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_images_are_rgb_and_labels_the_stored_ids(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / "grey.png")
    with_colours = Image.fromarray(PIXELS[:, :, 1], mode="P")
    with_colours.putpalette(list(range(256)) * 3)
    with_colours.save(tmp_path / "indexed.png")
    assert np.array_equal(read_image(tmp_path / "image.png"), PIXELS)
    assert read_image(tmp_path / "grey.png").shape == (40, 30, 3)
    assert np.array_equal(read_label(tmp_path / "grey.png"), PIXELS[:, :, 0])
    assert np.array_equal(read_label(tmp_path / "indexed.png"), PIXELS[:, :, 1])


@pytest.mark.parametrize("form", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.9])
def test_a_file_cut_short_anywhere_is_named_with_a_reason(
    tmp_path: Path, form: str, keep: float
) -> None:
    path = tmp_path / f"image.{form}"
    Image.fromarray(PIXELS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UnreadableSample, match=rf"image\.{form} is unreadable \(.+\)"):
        read_image(path)


def test_a_missing_file_and_a_coloured_label_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSample, match=r"label\.png is missing"):
        read_label(tmp_path / "label.png")
    Image.fromarray(PIXELS).save(tmp_path / "label.png")
    with pytest.raises(UnreadableSample, match=r"label\.png has mode RGB"):
        read_label(tmp_path / "label.png")


def test_ids_are_mapped_and_unknown_ones_named() -> None:
    label = np.array([[7, 8], [255, 7]], np.uint8)
    assert map_ids(label, {7: 0, 8: 3, 255: 255}).tolist() == [[0, 3], [255, 0]]
    with pytest.raises(UnreadableSample, match="label id 8 is outside the mapping"):
        map_ids(label, {7: 0, 255: 255})


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("color", [0, 3])
def test_a_label_of_few_bits_has_the_ids_that_are_stored(
    tmp_path: Path, depth: int, color: int
) -> None:
    ids = (np.arange(8 * 16) % 2**depth).reshape(8, 16).astype(np.uint8)
    content = png(16, 8, depth, color, packed(ids, depth))
    if color == 3:
        # An indexed PNG has its palette before its pixels.
        palette = bytes(range(256)) * 3
        head, rest = content[:33], content[33:]
        body = palette[: 3 * 2**depth]
        check = struct.pack(">I", zlib.crc32(b"PLTE" + body))
        content = head + struct.pack(">I", len(body)) + b"PLTE" + body + check + rest
    (tmp_path / "label.png").write_bytes(content)
    found = read_label(tmp_path / "label.png")
    assert found.dtype == np.uint8
    assert np.array_equal(found, ids)


@pytest.mark.parametrize("color", [0, 2, 4, 6])
def test_16_bits_a_channel_are_refused_as_image_and_as_label(tmp_path: Path, color: int) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    # 12 bits in 16: as they are they would be all but black, cut to 8 all white.
    samples = np.full((4, 5, channels), 4095, ">u2")
    path = tmp_path / "deep.png"
    path.write_bytes(png(5, 4, 16, color, samples.tobytes()))
    for read in (read_image, read_label):
        with pytest.raises(UnreadableSample, match=r"deep\.png has 16 bits a channel; choose what"):
            read(path)


def as_tiff(picture: Image.Image) -> bytes:
    return saved(picture.convert("F"), "TIFF")


def as_postscript(picture: Image.Image) -> bytes:
    return saved(picture, "EPS")


def as_bitmap(picture: Image.Image) -> bytes:
    return saved(picture, "BMP")


def as_gif(picture: Image.Image) -> bytes:
    return saved(picture, "GIF")


def saved(picture: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("make", [as_tiff, as_postscript, as_bitmap, as_gif])
def test_a_format_is_known_by_content_and_others_than_png_and_jpeg_reach_no_decoder(
    tmp_path: Path, make: Callable[[Image.Image], bytes]
) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(make(Image.fromarray(PIXELS)))
    with pytest.raises(UnreadableSample, match=r"image\.png is unreadable \(no PNG or JPEG inside"):
        read_image(path)


def test_a_jpeg_named_png_is_an_image_and_no_label(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    Image.fromarray(PIXELS[:, :, 0]).save(path, "JPEG")
    assert read_image(path).shape == PIXELS.shape
    with pytest.raises(UnreadableSample, match=r"label\.png is unreadable \(no PNG inside\)"):
        read_label(path)


def test_a_transparent_pixel_is_refused_and_an_opaque_channel_passed_over(tmp_path: Path) -> None:
    alpha = np.full((40, 30, 1), 255, np.uint8)
    path = tmp_path / "image.png"
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(path)
    assert np.array_equal(read_image(path), PIXELS)
    alpha[3, 4] = 254
    Image.fromarray(np.concatenate([PIXELS, alpha], axis=2)).save(path)
    with pytest.raises(UnreadableSample, match=r"image\.png has transparent pixels"):
        read_image(path)
    # Transparency by colour, which takes no channel.
    Image.fromarray(PIXELS).save(path, transparency=tuple(PIXELS[0, 0].tolist()))
    with pytest.raises(UnreadableSample, match=r"image\.png has transparent pixels"):
        read_image(path)


def test_the_colours_of_print_are_refused(tmp_path: Path) -> None:
    Image.new("CMYK", (9, 9)).save(tmp_path / "image.jpg")
    with pytest.raises(UnreadableSample, match=r"image\.jpg has mode CMYK; convert it to RGB"):
        read_image(tmp_path / "image.jpg")


def test_an_image_is_turned_upright_and_its_label_has_to_be(tmp_path: Path) -> None:
    image, label = tmp_path / "image.png", tmp_path / "label.png"
    Image.fromarray(PIXELS).save(image, exif=turned(LIES_ON_ITS_LEFT))
    upright = np.rot90(PIXELS, -1)
    assert np.array_equal(read_image(image), upright)
    assert size_of(image) == upright.shape[:2]
    Image.fromarray(np.ascontiguousarray(upright[..., 0])).save(label)
    pixels, ids = read_pair(image, label)
    assert np.array_equal(pixels[..., 0], ids)
    Image.fromarray(PIXELS[..., 0]).save(label)
    with pytest.raises(UnreadableSample, match=r"image is \(30, 40\) but its label \(40, 30\)"):
        read_pair(image, label)
    Image.fromarray(PIXELS[..., 0]).save(label, exif=turned(HALF_TURN))
    with pytest.raises(UnreadableSample, match=r"label\.png has an EXIF orientation; store it"):
        read_label(label)


def test_a_picture_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    width = LARGEST_AREA // 8192 + 1
    # There are no pixels behind the header: decoding would complain of that.
    path.write_bytes(png(width, 8192, 8, 2, b""))
    for read in (read_image, read_label):
        with pytest.raises(UnreadableSample, match=f"{width}x8192 pixels, {LARGEST_AREA} are allo"):
            read(path)


def test_a_chunk_longer_than_the_file_is_given_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    sound = png(4, 4, 8, 0, bytes(20))
    at = sound.index(b"IDAT") - 4
    path.write_bytes(sound[:at] + b"\xff\xff\xff\xff" + sound[at + 4 :])
    tracemalloc.start()
    for read in (read_image, read_label):
        with pytest.raises(UnreadableSample, match="is truncated: a chunk is longer"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("pipe", "folder", "nowhere", "loop"):
        assert not (tmp_path / f"{name}.png").exists()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nowhere.png").symlink_to("gone")
    (tmp_path / "loop.png").symlink_to("loop.png")
    complaints = {
        "pipe": "is no regular file",
        "folder": "is no regular file",
        "nowhere": "is missing",
        "loop": "is unreadable",
    }
    for name, complaint in complaints.items():
        for read in (read_image, read_label):
            with within(60), pytest.raises(UnreadableSample, match=rf"{name}\.png {complaint}"):
                read(tmp_path / f"{name}.png")


def failing(monkeypatch: pytest.MonkeyPatch, code: int, times: int) -> list[int]:
    """Lets Pillow's reads fail so often; the list grows with each of them."""
    monkeypatch.setattr(retrying, "PAUSES", (0.0, 0.0, 0.0))
    failures: list[int] = []
    whole = Image.open

    def fail(*arguments: object, **options: object) -> Image.Image:
        if len(failures) < times:
            failures.append(code)
            raise OSError(code, os.strerror(code))
        return whole(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", fail)
    return failures


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_system_that_fails_for_a_moment_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    failures = failing(monkeypatch, code, times=3)
    assert np.array_equal(read_image(tmp_path / "image.png"), PIXELS)
    assert failures == [code] * 3


def test_a_file_system_that_keeps_failing_is_no_flaw_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    failing(monkeypatch, errno.ESTALE, times=99)
    with pytest.raises(OSError, match="Stale"):
        read_image(tmp_path / "image.png")


def test_a_file_that_may_not_be_read_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "image.png")
    failures = failing(monkeypatch, errno.EACCES, times=99)
    with pytest.raises(UnreadableSample, match=r"image\.png is unreadable \(Permission denied\)"):
        read_image(tmp_path / "image.png")
    assert len(failures) == 1
