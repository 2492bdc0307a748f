from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import TinyDataset, latents_of, tiny_samples
from support.tiny_data import FolderReader, index_of, pixels_of, pseudo_masks_of

from semflow.core import retrying
from semflow.core.errors import UserError
from semflow.index.listing import Reject
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest

COUNTS = {"train": 6, "val": 2}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Eight sound samples as PNG files."""
    draws = np.random.default_rng(0)
    for split, count in COUNTS.items():
        folder = tmp_path / "raw" / split
        folder.mkdir(parents=True)
        for number in range(count):
            image = draws.integers(0, 256, (20, 18, 3)).astype(np.uint8)
            label = draws.choice([0, 10, 20, 30, 255], (20, 18)).astype(np.uint8)
            Image.fromarray(image).save(folder / f"{split}{number}.png")
            Image.fromarray(label).save(folder / f"{split}{number}_label.png")
    return tmp_path / "raw"


def truncate_the_image(raw: Path) -> None:
    path = raw / "train/train2.png"
    path.write_bytes(path.read_bytes()[:-200])


def shrink_the_label(raw: Path) -> None:
    path = raw / "train/train2_label.png"
    Image.open(path).crop((0, 0, 9, 20)).save(path)


def remove_the_label(raw: Path) -> None:
    (raw / "train/train2_label.png").unlink()


def set_a_strange_id(raw: Path) -> None:
    path = raw / "train/train2_label.png"
    label = np.array(Image.open(path))
    label[3, 4] = 11
    Image.fromarray(label).save(path)


BAD = pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncate_the_image, "train2.png is unreadable (image file is truncated"),
        (shrink_the_label, "image is (20, 18) but its label (20, 9)"),
        (remove_the_label, "train2_label.png is missing"),
        (set_a_strange_id, "label id 11 is outside the mapping"),
    ],
)


@BAD
def test_a_bad_sample_is_named_left_out_and_never_trained_on(
    raw: Path,
    tmp_path: Path,
    params: DatasetParams,
    autoencoder: PatchAutoencoder,
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    spoil(raw)
    reader = FolderReader(raw)
    index = index_of(reader, tmp_path / "index", max_rejects=1)
    (reject,) = index.rejects
    assert (reject.key, reject.split) == ("train2", "train")
    assert reject.reason.startswith(reason)
    names = ("index", "shards", "pseudo_masks", "latents")
    made = TinyDataset(*(tmp_path / name for name in names))
    pixels_of(index, reader, params.shards, made.shards)
    pseudo_masks_of(made.shards, make_palette(params.palette, 4), made.pseudo_masks)
    latents_of(made.shards, autoencoder, made.image_latents)
    manifest = read_manifest(made.shards / "train")
    assert manifest.about["rejects"] == [{"key": "train2", "reason": reject.reason}]
    assert read_manifest(made.shards / "val").about["rejects"] == []
    kept = ["train0", "train1", "train3", "train4", "train5"]
    assert list(manifest.keys()) == kept
    assert list(read_manifest(made.pseudo_masks / "train").keys()) == kept
    samples = tiny_samples(params, made)
    trained = {samples.key(int(samples[position]["index"])) for position in range(10)}
    assert trained == set(kept)


@BAD
def test_more_bad_samples_than_allowed_stop_the_index_in_one_line(
    raw: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(raw)
    with pytest.raises(UserError) as refusal:
        index_of(FolderReader(raw), tmp_path / "index")
    message = str(refusal.value)
    assert message.startswith("1 samples are unreadable, index.max_rejects allows 0; the first: ")
    assert f"train2: {reason}" in message
    assert "\n" not in message
    assert not (tmp_path / "index").exists()


def test_a_larger_bound_goes_on_from_what_was_checked(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remove_the_label(raw)
    with pytest.raises(UserError):
        index_of(FolderReader(raw), tmp_path / "index")
    index = index_of(FolderReader(raw), tmp_path / "index", max_rejects=1)
    assert index.rejects == (Reject("train2", "train", "train2_label.png is missing"),)
    assert "index: 1 of 1 chunks were done" in capsys.readouterr().err


def test_a_sample_that_became_unreadable_since_is_named_with_what_to_do(
    raw: Path, tmp_path: Path, params: DatasetParams
) -> None:
    reader = FolderReader(raw)
    index = index_of(reader, tmp_path / "index")
    shutil.rmtree(raw / "val")
    complaint = r"val\d has become unreadable .*_label.png is missing.*dvc repro -f index"
    with pytest.raises(UserError, match=complaint):
        pixels_of(index, reader, params.shards, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_name_that_is_no_text_is_a_reject_and_stops_no_stage(
    raw: Path, tmp_path: Path, params: DatasetParams
) -> None:
    odd = os.fsdecode(b"train\xff")
    for ending in (".png", "_label.png"):
        shutil.copy(raw / f"train/train2{ending}", raw / "train" / f"{odd}{ending}")
    reader = FolderReader(raw)
    index = index_of(reader, tmp_path / "index", max_rejects=1)
    (reject,) = index.rejects
    assert reject.key == odd
    assert "rename the file" in reject.reason
    pixels_of(index, reader, params.shards, tmp_path / "shards")
    manifest = read_manifest(tmp_path / "shards/train")
    assert len(manifest) == COUNTS["train"]
    assert manifest.about["rejects"] == [{"key": odd, "reason": reject.reason}]


def test_a_file_system_that_keeps_failing_fails_the_index_whatever_rejects_it_allows(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "PAUSES", (0.0, 0.0, 0.0))

    def fail(*_: object, **__: object) -> Image.Image:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        index_of(FolderReader(raw), tmp_path / "index", max_rejects=99)
    assert not (tmp_path / "index").exists()
