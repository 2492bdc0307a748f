from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from numpy.typing import NDArray
from PIL import Image
from support.tiny import TinyDataset
from support.tiny_data import (
    CLASSES,
    SHAPE,
    TRAIN_SAMPLES,
    VAL_SAMPLES,
    RandomReader,
    pixels_of,
    scratch_for,
)

from semflow.core.files import sha256_of
from semflow.core.labels import class_table
from semflow.datasets.base import Sample
from semflow.index.listing import read_index
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.resizing import resize, whole
from semflow.shards.tar import png_pixels

TRAINING = {"image.png", "label.png", "json"}
MEMBERS = {"train": TRAINING, "val": TRAINING | {"native_label.png"}}


@pytest.fixture
def reader(tmp_path: Path) -> RandomReader:
    return RandomReader(tmp_path, {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES})


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_two_runs_in_two_folders_write_the_same_bytes(
    dataset: TinyDataset,
    params: DatasetParams,
    reader: RandomReader,
    tmp_path: Path,
) -> None:
    out = tmp_path / "elsewhere" / "shards"
    pixels_of(read_index(dataset.index), reader, params.shards, out)
    assert bytes_of(out) == bytes_of(dataset.shards)
    assert {path.name for path in out.parent.iterdir()} == {"shards", scratch_for(out).parent.name}


def test_a_split_is_cut_into_tars_of_the_wanted_length(dataset: TinyDataset) -> None:
    train, val = (read_manifest(dataset.shards / split) for split in ("train", "val"))
    assert [(shard.name, len(shard)) for shard in train.shards()] == [
        ("000000.tar", 4),
        ("000001.tar", 4),
        ("000002.tar", 2),
    ]
    assert [len(shard) for shard in val.shards()] == [3]
    assert len(train) == TRAIN_SAMPLES
    assert list(train.keys()) == [f"train_{number}" for number in range(TRAIN_SAMPLES)]
    assert {path.name for path in (dataset.shards / "train").iterdir()} == {
        "000000.tar",
        "000001.tar",
        "000002.tar",
        "manifest.json",
    }


@pytest.mark.parametrize("split", ["train", "val"])
def test_webdataset_reads_every_member_of_every_sample(
    dataset: TinyDataset, reader: RandomReader, split: str
) -> None:
    tars = [str(path) for path in sorted((dataset.shards / split).glob("*.tar"))]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [s["__key__"] for s in samples] == list(read_manifest(dataset.shards / split).keys())
    for number, sample in enumerate(samples):
        assert {name for name in sample if not name.startswith("__")} == MEMBERS[split]
        raw = Sample(sample["__key__"], split, {"number": number})
        image, label = reader.read(raw)
        image, label = resize(image, label, whole((24, 20)), SHAPE)
        assert np.array_equal(decoded(sample["image.png"]), image)
        assert np.array_equal(decoded(sample["label.png"]), label)
        assert json.loads(sample["json"]) == {"key": raw.key, "number": number}


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_manifests_offsets_point_at_exactly_each_members_bytes(
    dataset: TinyDataset, split: str
) -> None:
    manifest = read_manifest(dataset.shards / split)
    folder, position = ShardFolder(manifest), 0
    for shard in manifest.shards():
        path = dataset.shards / split / shard.name
        assert (shard.bytes, shard.sha256) == (path.stat().st_size, sha256_of(path))
        content = path.read_bytes()
        with tarfile.open(path) as tar:
            names = []
            for row, key in enumerate(shard.keys.tolist()):
                assert folder.key(position) == key.decode()
                for extension, places in shard.members.items():
                    offset, size = places[:, row].tolist()
                    names.append(f"{key.decode()}.{extension}")
                    member = tar.extractfile(names[-1])
                    assert member is not None
                    expected = member.read()
                    assert content[offset : offset + size] == expected
                    assert folder.read(position, extension) == expected
                position += 1
            assert tar.getnames() == names
    assert len(folder) == position


def test_a_tar_tells_nothing_of_the_machine_that_made_it(dataset: TinyDataset) -> None:
    with tarfile.open(dataset.shards / "train" / "000000.tar") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
            assert (member.uname, member.gname, member.mode) == ("", "", 0o644)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_manifest_tells_the_classes_and_the_size_and_knows_no_palette(
    dataset: TinyDataset, split: str
) -> None:
    about = read_manifest(dataset.shards / split).about
    assert about.keys() == {"classes", "image_size", "rejects", "split"}
    assert class_table(about["classes"]) == CLASSES
    assert (about["image_size"], about["rejects"], about["split"]) == ([16, 16], [], split)


def test_shards_that_were_lost_after_the_run_had_ended_are_published_again(
    dataset: TinyDataset,
    params: DatasetParams,
    reader: RandomReader,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index, out = read_index(dataset.index), tmp_path / "shards"
    pixels_of(index, reader, params.shards, out)
    shutil.rmtree(out)
    capsys.readouterr()
    pixels_of(index, reader, params.shards, out)
    assert "shards: 4 of 4 shards were done" in capsys.readouterr().err
    assert bytes_of(out) == bytes_of(dataset.shards)


def test_an_interrupted_write_leaves_the_old_shards_whole_and_goes_on_later(
    dataset: TinyDataset,
    params: DatasetParams,
    reader: RandomReader,
    tmp_path: Path,
) -> None:
    out, index = tmp_path / "shards", read_index(dataset.index)
    pixels_of(index, reader, params.shards, out)
    before = bytes_of(out)
    shutil.rmtree(scratch_for(out))

    class Interrupted(RandomReader):
        def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            if sample.key == "val_1":
                raise RuntimeError
            return super().read(sample)

    counts = {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES}
    with pytest.raises(RuntimeError):
        pixels_of(index, Interrupted(tmp_path, counts, shape=(30, 30)), params.shards, out)
    assert bytes_of(out) == before
    pixels_of(index, RandomReader(tmp_path, counts, shape=(30, 30)), params.shards, out)
    after = bytes_of(out)
    assert after.keys() == before.keys()
    assert after != before


def test_a_crooked_size_is_height_by_width(
    dataset: TinyDataset, reader: RandomReader, tmp_path: Path
) -> None:
    shape = SHAPE.model_copy(update={"image_size": (8, 12), "samples_per_shard": 100})
    pixels_of(read_index(dataset.index), reader, shape, tmp_path / "s")
    folder = ShardFolder(read_manifest(tmp_path / "s" / "val"))
    assert png_pixels(folder.read(0, "image.png")).shape == (8, 12, 3)
    assert png_pixels(folder.read(0, "label.png")).shape == (8, 12)
