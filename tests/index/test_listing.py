from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.tiny_data import CLASSES, RandomReader, index_of

from semflow.core.errors import UserError
from semflow.datasets.base import Sample, UnreadableSample
from semflow.index.checking import LONGEST_KEY, check_key, check_label
from semflow.index.listing import Reject, read_index
from semflow.pseudo_masks.coloring import MEMBER
from semflow.shards.resizing import crop_key
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


@pytest.mark.parametrize("key", ["a.b", ".a", "a\nb", "a\udcffb"])
def test_a_name_with_a_dot_or_a_control_character_is_a_reject(key: str) -> None:
    with pytest.raises(UnreadableSample, match=r"a name has no dot and no control.*; rename"):
        check_key(key)


@pytest.mark.parametrize("key", ["x" * (LONGEST_KEY + 1), "é" * (LONGEST_KEY // 2 + 1)])
def test_a_name_that_is_too_long_for_a_shard_is_a_reject(key: str) -> None:
    with pytest.raises(UnreadableSample, match=f"a name has up to {LONGEST_KEY} bytes; rename"):
        check_key(key)


@pytest.mark.parametrize("key", ["x" * LONGEST_KEY, "é" * (LONGEST_KEY // 2)])
@pytest.mark.parametrize(
    "extension", ["native_label.png", MEMBER, "moments.npy", "mirrored.npy", "mirrored999.npy"]
)
def test_the_longest_name_fits_into_a_shard_whatever_its_crop_and_member(
    tmp_path: Path, key: str, extension: str
) -> None:
    check_key(key)
    # Labels in their native size are those of val samples, which are not cropped.
    crop = key if extension == "native_label.png" else crop_key(key, 9_999_999)
    write_shard([(crop, {extension: b"content"})], tmp_path / "0.tar")
    with tarfile.open(tmp_path / "0.tar") as tar:
        assert tar.getnames() == [f"{crop}.{extension}"]


@given(st.text(st.characters(categories=["L", "N"]), max_size=20), st.integers(1, 10**6))
def test_no_samples_name_can_be_that_of_another_ones_crop(key: str, number: int) -> None:
    with pytest.raises(UnreadableSample, match=f"ends in -crop{number} is a crop's; rename"):
        check_key(crop_key(key, number))


@pytest.mark.parametrize("key", ["crop1", "a-crop", "a-crop1b", "a-crop-1", "a_crop1", "-crop1-"])
def test_names_that_only_resemble_a_crops_are_sound(key: str) -> None:
    check_key(key)


def test_a_sample_named_like_a_crop_is_a_reject_in_the_index(raw: Path, tmp_path: Path) -> None:
    class WithACropsName(RandomReader):
        def samples(self) -> Iterator[Sample]:
            yield from super().samples()
            yield Sample("train_0-crop1", "train", {"number": 0})

    index = index_of(WithACropsName(raw, COUNTS), tmp_path / "index", max_rejects=1)
    reason = "a name that ends in -crop1 is a crop's; rename the file"
    assert index.rejects == (Reject("train_0-crop1", "train", reason),)


@pytest.mark.parametrize(
    ("counts", "split"), [({}, "train"), ({"train": 2}, "val"), ({"val": 2}, "train")]
)
def test_an_index_without_a_split_that_training_or_evaluation_needs_is_refused(
    raw: Path, tmp_path: Path, counts: dict[str, int], split: str
) -> None:
    with pytest.raises(UserError) as refusal:
        index_of(RandomReader(raw, counts), tmp_path / "index")
    assert str(refusal.value) == (
        f"no sample is in split {split}; relax what index says of it, or add raw files"
    )
    assert not (tmp_path / "index").exists()


def test_a_split_whose_samples_are_all_unreadable_is_named_with_the_first_reason(
    raw: Path, tmp_path: Path
) -> None:
    reader = RandomReader(raw, COUNTS, unreadable=("val_0", "val_1", "train_1"))
    with pytest.raises(UserError) as refusal:
        index_of(reader, tmp_path / "index", max_rejects=9)
    assert str(refusal.value) == (
        "all samples of split val are unreadable, 2 in number; "
        "restore them, the first: val_0: cut short"
    )
    assert not (tmp_path / "index").exists()


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"index\.json not found"):
        read_index(tmp_path)
