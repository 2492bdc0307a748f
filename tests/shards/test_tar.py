from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import TinyDataset, shard_folder
from support.tiny_data import TRAIN_SAMPLES

from semflow.core.errors import UserError
from semflow.shards import reading
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder, batches
from semflow.shards.tar import array_bytes, array_from, png_bytes, png_pixels

MEMBERS = ("image.png", "label.png", "pseudo_mask.png", "json")


@given(st.integers(0, 2**32 - 1), st.sampled_from([(), (3,)]))
def test_pngs_and_arrays_come_back_as_they_were(seed: int, tail: tuple[int, ...]) -> None:
    draws = np.random.default_rng(seed)
    pixels = draws.integers(0, 256, (5, 7, *tail)).astype(np.uint8)
    assert np.array_equal(png_pixels(png_bytes(pixels)), pixels)
    array = draws.standard_normal((2, 3, 4)).astype(np.float16)
    back = array_from(array_bytes(array))
    assert back.dtype == np.float16
    assert np.array_equal(back, array)


def test_an_array_that_would_need_unpickling_is_refused() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="which would be unpickled"):
        array_from(buffer.getvalue())


@pytest.mark.parametrize("shape", [b"(999999999999,)", b"(2, 2)", b"(-1, 4)"])
def test_an_array_with_other_than_the_promised_numbers_takes_no_memory_and_is_refused(
    shape: bytes,
) -> None:
    content = array_bytes(np.zeros((2, 3), np.float16)).replace(b"(2, 3)", shape)
    with pytest.raises(UserError, match="a shard's array is unreadable"):
        array_from(content)


def test_an_array_whose_header_is_an_open_bracket_is_one_line() -> None:
    content = array_bytes(np.zeros((2, 3), np.float16)).replace(b"(2, 3), }", b"(2, 3), ((")
    with pytest.raises(UserError, match="a shard's array is unreadable"):
        array_from(content)


def test_a_shards_picture_that_is_none_or_too_large_is_one_line() -> None:
    sound = png_bytes(np.zeros((2, 2), np.uint8))
    huge = sound[:16] + (20_000).to_bytes(4, "big") * 2 + sound[24:]
    for content in (b"", sound[:40], huge):
        with pytest.raises(UserError, match="a shard's picture"):
            png_pixels(content)


@given(
    st.lists(st.sampled_from(sorted(MEMBERS)), min_size=1, unique=True).flatmap(
        lambda extensions: st.dictionaries(
            st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12),
            st.fixed_dictionaries({name: st.binary(max_size=1500) for name in extensions}),
            min_size=1,
            max_size=7,
        )
    ),
    st.integers(1, 8),
)
def test_any_records_are_read_back_by_offset(
    tmp_path_factory: pytest.TempPathFactory,
    records: dict[str, dict[str, bytes]],
    samples_per_shard: int,
) -> None:
    path = tmp_path_factory.mktemp("records")
    manifest = shard_folder(records.items(), path, samples_per_shard, {})
    assert manifest.tars == -(-len(records) // samples_per_shard)
    folder = ShardFolder(manifest)
    assert list(manifest.keys()) == [folder.key(i) for i in range(len(folder))] == list(records)
    for position, contents in enumerate(records.values()):
        for extension, content in contents.items():
            assert folder.read(position, extension) == content


def test_of_many_tars_few_are_open_whatever_the_order_of_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "OPEN_TARS", 4)
    names = [f"k{number}" for number in range(60)]
    manifest = shard_folder([(name, {"txt": name.encode()}) for name in names], tmp_path, 1, {})
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("open files cannot be counted here")
    before = len(list(open_files.iterdir()))
    folder = ShardFolder(manifest)
    for position in np.random.default_rng(0).permutation(180) % 60:
        assert folder.read(int(position), "txt") == names[position].encode()
    # Other threads open files, too; a descriptor a tar would be 60.
    assert len(list(open_files.iterdir())) - before < 30


def test_a_copy_for_another_process_has_no_open_tar_and_reads_the_same(
    dataset: TinyDataset,
) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "train"))
    content = folder.read(1, "label.png")
    copied = pickle.loads(pickle.dumps(folder))
    assert copied.read(1, "label.png") == content


def test_a_sample_without_a_member_that_others_have_is_refused(tmp_path: Path) -> None:
    records = [("a", {"image.png": b"1", "label.png": b"2"}), ("b", {"image.png": b"3"})]
    with pytest.raises(ValueError, match="b has"):
        shard_folder(records, tmp_path, 2, {})


def test_batches_hold_every_position_once_and_in_order(dataset: TinyDataset) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "train"))

    def all_of(size: int) -> Iterator[int]:
        for batch in batches(folder, size):
            assert 1 <= len(batch) <= size
            yield from batch

    for size in (1, 3, 5, 10, 64):
        assert list(all_of(size)) == list(range(TRAIN_SAMPLES))
