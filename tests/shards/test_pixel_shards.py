from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset
from numpy.typing import NDArray
from PIL import Image
from support.tiny import TinyDataset
from support.tiny_data import CLASSES, SHAPE, TRAIN_SAMPLES, VAL_SAMPLES, RandomReader, pixels_of

from semflow.core.files import sha256_of
from semflow.datasets.base import Sample
from semflow.index.listing import read_index
from semflow.pseudo_masks.palette import Palette, make_palette
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.resizing import resize, whole
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels

TRAINING = {"image.png", "label.png", "pseudo_mask.png", "json"}
MEMBERS = {"train": TRAINING, "val": TRAINING | {"native_label.png"}}


@pytest.fixture
def reader(tmp_path: Path) -> RandomReader:
    return RandomReader(tmp_path, {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES})


@pytest.fixture
def palette(params: DatasetParams) -> Palette:
    return make_palette(params.palette, len(CLASSES.names))


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
    palette: Palette,
    reader: RandomReader,
    tmp_path: Path,
) -> None:
    out, digests = tmp_path / "elsewhere" / "shards", tmp_path / "digests.json"
    pixels_of(read_index(dataset.index), reader, palette, params.shards, out, digests)
    assert bytes_of(out) == bytes_of(dataset.shards)
    assert digests.read_bytes() == dataset.digests.read_bytes()
    assert {path.name for path in out.parent.iterdir()} == {"shards"}


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
    dataset: TinyDataset, palette: Palette, reader: RandomReader, split: str
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
        assert np.array_equal(decoded(sample["pseudo_mask.png"]), palette.colorize(label))
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


def test_digests_follow_image_and_label_and_not_the_palette(
    dataset: TinyDataset,
    params: DatasetParams,
    palette: Palette,
    reader: RandomReader,
    tmp_path: Path,
) -> None:
    index = read_index(dataset.index)
    other = Palette(palette.anchors[::-1], palette.ignore_color, 0.0, palette.grain)
    pixels_of(index, reader, other, params.shards, tmp_path / "shards", tmp_path / "digests.json")
    assert (tmp_path / "digests.json").read_bytes() == dataset.digests.read_bytes()
    one, two = (
        ShardFolder(read_manifest(f / "train")) for f in (dataset.shards, tmp_path / "shards")
    )
    assert one.read(0, "label.png") == two.read(0, "label.png")
    assert one.read(0, "pseudo_mask.png") != two.read(0, "pseudo_mask.png")
    digests = json.loads(dataset.digests.read_text("utf-8"))
    contents = [
        (f"train_{i}".encode(), one.read(i, "image.png"), one.read(i, "label.png")) for i in (8, 9)
    ]
    hashed = b"".join(hashlib.sha256(part).digest() for sample in contents for part in sample)
    assert digests["train"]["shards"][2] == hashlib.sha256(hashed).hexdigest()
    assert (digests["train"]["samples"], len(digests["train"]["shards"])) == (10, 3)
    assert (digests["val"]["samples"], len(digests["val"]["shards"])) == (3, 1)


def test_an_interrupted_write_leaves_the_old_shards_and_digests_whole(
    dataset: TinyDataset,
    params: DatasetParams,
    palette: Palette,
    reader: RandomReader,
    tmp_path: Path,
) -> None:
    out, digests = tmp_path / "shards", tmp_path / "digests.json"
    index = read_index(dataset.index)
    pixels_of(index, reader, palette, params.shards, out, digests)
    before = bytes_of(out), digests.read_bytes()

    class Interrupted(RandomReader):
        def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            if sample.key == "val_1":
                raise RuntimeError
            return super().read(sample)

    broken = Interrupted(tmp_path, {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES}, shape=(30, 30))
    with pytest.raises(RuntimeError):
        pixels_of(index, broken, palette, params.shards, out, digests)
    assert (bytes_of(out), digests.read_bytes()) == before


def test_a_crooked_size_is_height_by_width(
    dataset: TinyDataset, palette: Palette, reader: RandomReader, tmp_path: Path
) -> None:
    shape = SHAPE.model_copy(update={"image_size": (8, 12), "samples_per_shard": 100})
    pixels_of(
        read_index(dataset.index), reader, palette, shape, tmp_path / "s", tmp_path / "d.json"
    )
    folder = ShardFolder(read_manifest(tmp_path / "s" / "val"))
    assert png_pixels(folder.read(0, "image.png")).shape == (8, 12, 3)
    assert png_pixels(folder.read(0, "label.png")).shape == (8, 12)
    assert png_pixels(folder.read(0, "pseudo_mask.png")).shape == (8, 12, 3)
