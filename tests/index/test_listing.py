from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.tiny_data import CLASSES, RandomReader, index_of

from semflow.core.errors import UserError
from semflow.datasets.base import Sample, UnreadableSample
from semflow.index.checking import LONGEST_KEY, check_key, check_label
from semflow.index.listing import Reject, read_index
from semflow.shards.tar import write_shard

COUNTS = {"val": 2, "train": 5}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.bin"
    path.write_bytes(b"planet")
    return path


def header_of(folder: Path) -> dict[str, object]:
    header: dict[str, object] = json.loads((folder / "index.json").read_text("utf-8"))
    return header


def test_an_index_streams_the_samples_of_a_split_in_the_readers_order(
    raw: Path, tmp_path: Path
) -> None:
    reader = RandomReader(raw, COUNTS)
    index_of(reader, tmp_path / "index")
    index = read_index(tmp_path / "index")
    assert index.classes == CLASSES
    assert index.counts == COUNTS
    for split in COUNTS:
        assert list(index.samples(split)) == [s for s in reader.samples() if s.split == split]
    assert list(index.samples("test")) == []


@pytest.mark.parametrize("step", [1, 2, 3, 5, 9])
def test_samples_can_be_read_from_every_nth_on(raw: Path, tmp_path: Path, step: int) -> None:
    index = index_of(RandomReader(raw, COUNTS), tmp_path / "index")
    every = list(index.samples("train"))
    starts = index.starts("train", step).tolist()
    assert [list(index.samples("train", start)) for start in starts] == [
        every[first:] for first in range(0, 5, step)
    ]


def test_splits_come_in_the_order_of_their_first_appearance(raw: Path, tmp_path: Path) -> None:
    index = index_of(RandomReader(raw, COUNTS), tmp_path / "index")
    assert index.splits == ("val", "train")


def test_two_runs_write_the_same_bytes(raw: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        index_of(RandomReader(raw, COUNTS), tmp_path / name)
    for file in ("index.json", "train.jsonl", "val.jsonl"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_raw_files_are_noted_with_their_checksums(raw: Path, tmp_path: Path) -> None:
    index_of(RandomReader(raw, COUNTS), tmp_path / "index")
    expected = {"raw.bin": hashlib.sha256(b"planet").hexdigest()}
    assert header_of(tmp_path / "index")["raw_files"] == expected


def test_an_unreadable_sample_goes_to_the_rejects_with_its_reason(
    raw: Path, tmp_path: Path
) -> None:
    reader = RandomReader(raw, COUNTS, unreadable=("train_1", "val_0"))
    index = index_of(reader, tmp_path / "index", max_rejects=2)
    assert index.counts == {"train": 4, "val": 1}
    assert [sample.key for sample in index.samples("val")] == ["val_1"]
    assert index.rejects == (
        Reject("val_0", "val", "cut short"),
        Reject("train_1", "train", "cut short"),
    )


def test_more_rejects_than_allowed_fail_with_their_number_and_write_nothing(
    raw: Path, tmp_path: Path
) -> None:
    reader = RandomReader(raw, COUNTS, unreadable=("train_1", "train_2", "val_0"))
    with pytest.raises(UserError) as refusal:
        index_of(reader, tmp_path / "index", max_rejects=2)
    assert str(refusal.value) == (
        "3 samples are unreadable, index.max_rejects allows 2; the first: val_0: cut short"
    )
    assert not (tmp_path / "index").exists()


def test_a_label_id_that_is_no_class_is_a_reject(raw: Path, tmp_path: Path) -> None:
    class WithAStrangeId(RandomReader):
        def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            image, label = super().read(sample)
            if sample.key == "train_3":
                label[2, 3] = len(CLASSES.names)
            return image, label

    index = index_of(WithAStrangeId(raw, COUNTS), tmp_path / "index", max_rejects=1)
    assert index.counts == {"train": 4, "val": 2}
    assert index.rejects == (Reject("train_3", "train", "label id 4 is outside 0..3"),)


def test_the_largest_class_and_255_are_ids_and_what_lies_between_is_not() -> None:
    for sound in (0, 3, 255):
        check_label(np.full((4, 5), sound, np.uint8), num_classes=4)
    for strange in (4, 254):
        with pytest.raises(UnreadableSample, match=rf"label id {strange} is outside 0\.\.3"):
            check_label(np.full((4, 5), strange, np.uint8), num_classes=4)


@pytest.mark.parametrize("key", ["a.b", ".a", "a\nb", "a\udcffb", "é" * LONGEST_KEY])
def test_a_name_that_no_shard_can_hold_is_a_reject(key: str) -> None:
    with pytest.raises(UnreadableSample, match=r"a name has .*; rename the file"):
        check_key(key)


def test_the_longest_name_fits_into_a_shard(tmp_path: Path) -> None:
    key = "x" * LONGEST_KEY
    check_key(key)
    write_shard([(key, {"pseudo_mask.png": b"pixels"})], tmp_path / "0.tar")
    with tarfile.open(tmp_path / "0.tar") as tar:
        assert tar.getnames() == [f"{key}.pseudo_mask.png"]


def test_an_index_without_samples_is_refused(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the index is empty"):
        index_of(RandomReader(raw, {}), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index\.json not found"):
        read_index(tmp_path)
