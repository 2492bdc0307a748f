"""Pseudo-mask shards: one indexed PNG for each label, which is both the label and its colours."""

from __future__ import annotations

import io
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import webdataset
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.alone import checksums
from support.tiny import TinyDataset, latents_of
from support.tiny_data import (
    CLASSES,
    GREY,
    PALETTE,
    cut_short,
    flip_a_byte,
    pseudo_masks_of,
    spread_palette,
)

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.core.pool import SCHEDULER_VARIABLE
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.pseudo_masks.coloring import MEMBER, palette_of, pseudo_mask_png, read_pseudo_mask
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.shards.manifest import read_manifest, verify_shards
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

SPLITS = ("train", "val")
MANY = make_palette(spread_palette(), 255)


@pytest.fixture
def palette() -> Palette:
    """The one of the tiny data set."""
    return make_palette(PALETTE, len(CLASSES.names))


def bit_depth_and_color_type(content: bytes) -> tuple[int, int]:
    """Two bytes of a PNG's header chunk, which follows the signature and comes first."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width_to_type = struct.unpack(">4xIIBB", content[12:26])
    return width_to_type[2], width_to_type[3]


@given(st.integers(1, 255), st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_a_png_holds_the_ids_and_any_viewer_shows_the_palettes_colours(
    classes: int, seed: int, height: int, width: int
) -> None:
    palette = Palette(MANY.anchors[:classes], MANY.ignore_color)
    label = np.random.default_rng(seed).integers(0, classes + 1, (height, width)).astype(np.uint8)
    label[label == classes] = IGNORE_INDEX
    content = pseudo_mask_png(label, palette.color_table())
    image = Image.open(io.BytesIO(content))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), label)
    assert np.array_equal(np.asarray(image.convert("RGB")), palette.colorize(label))
    # Eight bits and an index (colour type 3), whatever the number of classes.
    assert bit_depth_and_color_type(content) == (8, 3)


def test_all_256_ids_come_back_with_the_whole_colour_table() -> None:
    draws = np.random.default_rng(0)
    table = draws.integers(0, 256, (256, 3)).astype(np.uint8)
    label = draws.permutation(256).astype(np.uint8).reshape(16, 16)
    found, colors = read_pseudo_mask(pseudo_mask_png(label, table))
    assert found.dtype == colors.dtype == np.uint8
    assert np.array_equal(found, label)
    assert np.array_equal(colors, table)


@pytest.mark.parametrize("constant", [0, 1, 255])
def test_a_label_of_one_id_keeps_its_id(constant: int) -> None:
    label = np.full((4, 4), constant, np.uint8)
    content = pseudo_mask_png(label, make_palette(PALETTE, 4).color_table())
    found, _ = read_pseudo_mask(content)
    assert np.array_equal(found, label)
    assert bit_depth_and_color_type(content) == (8, 3)


@pytest.mark.parametrize("split", SPLITS)
def test_webdataset_reads_the_pixel_shards_samples_in_their_order(
    dataset: TinyDataset, palette: Palette, split: str
) -> None:
    tars = [str(path) for path in sorted((dataset.pseudo_masks / split).glob("*.tar"))]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    pixels = ShardFolder(read_manifest(dataset.shards / split))
    manifest = read_manifest(dataset.pseudo_masks / split)
    verify_shards(manifest, "")
    keys = [pixels.key(position) for position in range(len(pixels))]
    assert [sample["__key__"] for sample in samples] == list(manifest.keys()) == keys
    # Tar by tar, so that one of them alone can be made anew.
    assert [len(shard) for shard in manifest.shards()] == [
        len(shard) for shard in read_manifest(dataset.shards / split).shards()
    ]
    for position, sample in enumerate(samples):
        assert {name for name in sample if not name.startswith("__")} == {MEMBER}
        label = png_pixels(pixels.read(position, "label.png"))
        shown = Image.open(io.BytesIO(sample[MEMBER]))
        assert np.array_equal(np.asarray(shown), label)
        assert np.array_equal(np.asarray(shown.convert("RGB")), palette.colorize(label))


def test_a_manifest_tells_classes_and_palette(dataset: TinyDataset, palette: Palette) -> None:
    manifest = read_manifest(dataset.pseudo_masks / "val")
    found = palette_of(manifest)
    assert found.anchors.dtype == found.ignore_color.dtype == np.float32
    assert np.array_equal(found.anchors, palette.anchors)
    assert found.ignore_color.tolist() == [*GREY]
    about = read_manifest(dataset.shards / "val").about
    assert manifest.about["classes"] == about["classes"]
    assert manifest.about["split"] == "val"


def test_another_palette_changes_pseudo_masks_and_no_image_latents(
    dataset: TinyDataset, autoencoder: PatchAutoencoder, tmp_path: Path
) -> None:
    before = checksums(dataset.shards)
    other = make_palette(spread_palette([3, 2, 1, 0]), len(CLASSES.names))
    pseudo_masks_of(dataset.shards, other, tmp_path / "pseudo_masks")
    # The stage that encodes images is given the pixel shards alone, and they are as they were.
    latents_of(dataset.shards, autoencoder, tmp_path / "latents")
    assert checksums(dataset.shards) == before
    assert checksums(tmp_path / "latents") == checksums(dataset.image_latents)
    for split in SPLITS:
        mine, theirs = (
            ShardFolder(read_manifest(folder / split))
            for folder in (dataset.pseudo_masks, tmp_path / "pseudo_masks")
        )
        for position in range(len(mine)):
            (label, colors), (same, others) = (
                read_pseudo_mask(folder.read(position, MEMBER)) for folder in (mine, theirs)
            )
            assert np.array_equal(label, same)
            assert np.array_equal(others[:4], colors[[3, 2, 1, 0]])


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (flip_a_byte, "was altered"),
        (cut_short, "bytes, its manifest says"),
        (Path.unlink, "is missing"),
    ],
)
def test_a_spoiled_pixel_tar_is_named_and_never_coloured(
    dataset: TinyDataset,
    palette: Palette,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    complaint: str,
) -> None:
    pixels = Path(shutil.copytree(dataset.shards, tmp_path / "shards"))
    spoil(pixels / "train" / "000001.tar")
    with pytest.raises(UserError) as refusal:
        pseudo_masks_of(pixels, palette, tmp_path / "out")
    message = str(refusal.value)
    assert message.startswith(str(pixels / "train" / "000001.tar"))
    assert complaint in message
    assert message.endswith("dvc repro -f shards@earth")
    assert not (tmp_path / "out").exists()


def test_a_run_that_met_an_error_goes_on_to_the_same_bytes(
    dataset: TinyDataset, palette: Palette, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = Path(shutil.copytree(dataset.shards, tmp_path / "shards"))
    # The last one: of the others all are finished when it is found, or all but one.
    spoilt = pixels / "val" / "000000.tar"
    content = spoilt.read_bytes()
    flip_a_byte(spoilt)
    with pytest.raises(UserError, match="was altered"):
        pseudo_masks_of(pixels, palette, tmp_path / "pseudo_masks")
    spoilt.write_bytes(content)
    capsys.readouterr()
    pseudo_masks_of(pixels, palette, tmp_path / "pseudo_masks")
    assert re.search("^pseudo_masks: [23] of 4 shards were done$", capsys.readouterr().err, re.M)
    assert checksums(tmp_path / "pseudo_masks") == checksums(dataset.pseudo_masks)


def test_one_worker_writes_the_same_bytes_as_two(
    dataset: TinyDataset, palette: Palette, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        monkeypatch.setenv(SCHEDULER_VARIABLE, cluster.scheduler_address)
        pseudo_masks_of(dataset.shards, palette, tmp_path / "pseudo_masks")
    assert checksums(tmp_path / "pseudo_masks") == checksums(dataset.pseudo_masks)


def test_a_label_id_that_the_palette_does_not_know_stops_the_stage(
    dataset: TinyDataset, tmp_path: Path
) -> None:
    few = make_palette(spread_palette(), 2)
    with pytest.raises(ValueError, match=r"label id \d is outside 0\.\.1 and 255"):
        pseudo_masks_of(dataset.shards, few, tmp_path / "out")
    assert not (tmp_path / "out").exists()
