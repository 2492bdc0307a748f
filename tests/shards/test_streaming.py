"""Shards one after another, as webdataset reads them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.tiny import TinyDataset, shard_folder
from support.tiny_data import TRAIN_SAMPLES

from semflow.core.errors import UserError
from semflow.shards.manifest import Manifest, read_manifest, write_manifest
from semflow.shards.reading import ShardFolder, stream
from semflow.shards.tar import write_shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five samples in three tars."""
    records = [(f"s{n}", {"a.txt": b"A%d" % n, "b.npy": b"B%d" % n}) for n in range(5)]
    (tmp_path / "train").mkdir()
    shard_folder(records, tmp_path / "train", 2, {})
    return tmp_path / "train"


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_samples_come_in_order_with_the_manifests_members(
    dataset: TinyDataset, split: str
) -> None:
    for made in (dataset.shards, dataset.pseudo_masks, dataset.image_latents):
        manifest = read_manifest(made / split)
        places = ShardFolder(manifest)
        extensions = next(manifest.shards()).members.keys()
        count = 0
        for position, (key, members) in enumerate(stream(manifest)):
            assert key == places.key(position)
            assert members.keys() == extensions
            for extension, content in members.items():
                assert content == places.read(position, extension)
            count += 1
        assert count == len(manifest)


def test_one_tar_is_streamed_alone(dataset: TinyDataset) -> None:
    manifest = read_manifest(dataset.shards / "train")
    keys = [key for key, _ in stream(manifest.only(1))]
    assert keys == [f"train_{number}" for number in range(4, 8)]
    parts = [key for number in range(3) for key, _ in stream(manifest.only(number))]
    assert parts == list(manifest.keys())
    assert len(parts) == TRAIN_SAMPLES


def test_no_tar_is_left_out_for_another_rank_or_worker(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # webdataset shares tars out by these, and refuses some numbers of ranks.
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert [key for key, _ in stream(read_manifest(folder))] == [f"s{n}" for n in range(5)]


def test_a_relative_folder_and_names_with_marks_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Braces are webdataset's marks for several tars, a pipe for a command, colons for protocols.
    odd = folder.with_name("a {0..1} b::c | d")
    folder.rename(odd)
    monkeypatch.chdir(odd.parent)
    manifest = read_manifest(Path(odd.name))
    assert [members["a.txt"] for _, members in stream(manifest)] == [b"A%d" % n for n in range(5)]


def others(folder: Path, samples: list[str]) -> Manifest:
    """The folder whose second tar holds other samples, its bytes as its manifest says."""
    manifest = read_manifest(folder)
    shards = list(manifest.shards())
    records = [(key, {"a.txt": b"A", "b.npy": b"B"}) for key in samples]
    tar = folder / shards[1].name
    write_shard(records, tar)
    return write_manifest(folder, manifest.about, shards)


@pytest.mark.parametrize("samples", [["s2"], ["s3", "s2"], ["s2", "s3", "s9"], ["x2", "s3"], []])
def test_a_tar_with_other_samples_than_its_manifests_is_refused(
    folder: Path, samples: list[str]
) -> None:
    manifest = others(folder, samples)
    with pytest.raises(UserError) as refusal:
        list(stream(manifest))
    assert str(refusal.value) == (
        f"{folder}/000001.tar holds other samples than its manifest names; "
        "run again the stage that makes it"
    )


def test_nothing_is_read_ahead_of_what_is_asked_for(folder: Path) -> None:
    samples = stream(read_manifest(folder))
    assert next(samples)[0] == "s0"
    assert next(samples)[0] == "s1"
    # The next tar is only opened now.
    shutil.copy(folder / "000000.tar", folder / "000001.tar")
    with pytest.raises(UserError, match=r"000001\.tar holds other samples"):
        list(samples)
