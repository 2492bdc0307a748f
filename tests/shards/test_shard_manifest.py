from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tiny import TinyDataset
from support.tiny_data import cut_short, flip_a_byte

from semflow.core.errors import UserError
from semflow.shards.manifest import (
    read_manifest,
    read_manifests,
    same_keys,
    verify_shards,
    write_manifest,
)
from semflow.shards.reading import ShardFolder, stream

REBUILD = "dvc repro -f shards@earth"


@pytest.fixture
def folder(dataset: TinyDataset, tmp_path: Path) -> Path:
    """A copy of the train split's shards that may be spoiled."""
    return Path(shutil.copytree(dataset.shards / "train", tmp_path / "train"))


def test_sound_shards_pass(folder: Path) -> None:
    verify_shards(read_manifest(folder), REBUILD)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (flip_a_byte, "was altered: its sha256 is not the manifest's"),
        (cut_short, "bytes, its manifest says"),
        (Path.unlink, "is missing"),
    ],
)
@pytest.mark.parametrize("name", ["000000.tar", "000002.tar"])
def test_a_spoiled_tar_is_named_with_the_command_that_rebuilds_it(
    folder: Path, name: str, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(folder / name)
    with pytest.raises(UserError) as refusal:
        verify_shards(read_manifest(folder), REBUILD)
    message = str(refusal.value)
    assert message.startswith(str(folder / name))
    assert complaint in message
    assert message.endswith(REBUILD)
    assert "\n" not in message


def test_a_manifest_comes_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    before = (folder / "manifest.json").read_bytes()
    again = write_manifest(folder, manifest.about, manifest.shards())
    assert (folder / "manifest.json").read_bytes() == before
    assert again.about == manifest.about
    assert list(again.keys()) == list(manifest.keys())


def test_a_manifest_is_one_json_document_with_a_tar_on_each_line(folder: Path) -> None:
    text = (folder / "manifest.json").read_text("utf-8")
    tars = json.loads(text)["shards"]
    assert [tar["name"] for tar in tars] == ["000000.tar", "000001.tar", "000002.tar"]
    assert [json.loads(line.rstrip(",")) for line in text.splitlines()[1:-1]] == tars


def test_one_tar_of_a_manifest_can_be_opened_alone(folder: Path) -> None:
    manifest = read_manifest(folder)
    whole, last = ShardFolder(manifest), ShardFolder(manifest.only(2))
    assert len(last) == 2
    for position in range(2):
        assert last.key(position) == whole.key(8 + position)
        assert last.read(position, "image.png") == whole.read(8 + position, "image.png")


def test_the_order_of_samples_is_compared_and_not_only_their_number(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert same_keys(manifest, read_manifest(folder))
    assert not same_keys(manifest, manifest.only(0))
    assert not same_keys(manifest.only(0), manifest.only(1))


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_a_manifest_cut_short_is_refused(folder: Path, keep: float) -> None:
    path = folder / "manifest.json"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match="was cut short or is of another version"):
        read_manifest(folder)


def test_a_folder_without_a_manifest_is_not_complete(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json not found"):
        read_manifest(folder)


def exchange(folder: Path, one: int, other: int) -> None:
    """Exchanges the places of two samples' labels in the first tar's line of the manifest."""
    head, line, *rest = (folder / "manifest.json").read_text("utf-8").splitlines(keepends=True)
    tar = json.loads(line.rstrip(",\n"))
    for places in tar["members"]["label.png"]:
        places[one], places[other] = places[other], places[one]
    text = json.dumps(tar, sort_keys=True, separators=(",", ":"))
    (folder / "manifest.json").write_text("".join([head, text + ",\n", *rest]), "utf-8")


def test_labels_exchanged_by_their_places_in_the_manifest_are_found(folder: Path) -> None:
    exchange(folder, 1, 2)
    manifest = read_manifest(folder)
    with pytest.raises(UserError, match=r"manifest\.json was altered: train_1\.label\.png is not"):
        verify_shards(manifest, REBUILD)
    samples = ShardFolder(manifest)
    samples.read(0, "label.png")
    samples.read(1, "image.png")
    with pytest.raises(UserError, match=r"000000\.tar has no train_2\.label\.png where its manif"):
        samples.read(2, "label.png")


@pytest.mark.parametrize("offset", [0, 511, -1, -512, 2**40])
def test_a_place_outside_of_its_tar_is_found(folder: Path, offset: int) -> None:
    path = folder / "manifest.json"
    text = path.read_text("utf-8")
    first = '"image.png":[['
    start = text.index(first) + len(first)
    path.write_text(text[:start] + str(offset) + text[text.index(",", start) :], "utf-8")
    manifest = read_manifest(folder)
    with pytest.raises(UserError, match=r"train_0\.image\.png is not where it says"):
        verify_shards(manifest, REBUILD)
    with pytest.raises(UserError, match=r"has no train_0\.image\.png where its manifest says"):
        ShardFolder(manifest).read(0, "image.png")


@pytest.mark.parametrize("name", ["/etc/hostname", "../val/000000.tar", "a/b.tar", "..", ""])
def test_a_tar_outside_of_its_folder_is_never_opened(folder: Path, name: str) -> None:
    path = folder / "manifest.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"name":"000001.tar"', f'"name":{json.dumps(name)}'), "utf-8")
    manifest = read_manifest(folder)
    for use in (ShardFolder, lambda found: verify_shards(found, REBUILD), lambda found: len(found)):
        with pytest.raises(
            UserError, match=r"manifest\.json names a tar .* which is no plain name"
        ):
            use(manifest)


def test_a_folder_without_splits_is_one_line_with_what_makes_it(tmp_path: Path) -> None:
    (tmp_path / "no split.txt").write_text("", "utf-8")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="holds no split; run the stage that makes it"):
            read_manifests(folder)


@pytest.mark.parametrize(
    "alter",
    [
        lambda tar: tar.update(keys=["a" * 200, *tar["keys"][1:]]),
        lambda tar: tar.update(keys="abcd"),
        lambda tar: tar.update(members={"x": [[2**70], [1]]}),
        lambda tar: tar.update(members={"x": [[1]]}),
        lambda tar: tar.pop("sha256"),
    ],
)
def test_a_line_of_another_form_is_one_line_wherever_the_manifest_is_read(
    folder: Path, alter: Callable[[dict[str, Any]], object]
) -> None:
    path = folder / "manifest.json"
    head, line, *rest = path.read_text("utf-8").splitlines()
    tar = json.loads(line.rstrip(","))
    alter(tar)
    path.write_text("\n".join([head, json.dumps(tar) + ",", *rest]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="does not have the form of a manifest"):
        ShardFolder(read_manifest(folder))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CHRTYPE])
def test_a_tar_whose_members_are_no_plain_files_reaches_no_reader(
    folder: Path, kind: bytes
) -> None:
    manifest = read_manifest(folder)
    shard = next(manifest.shards())
    content = bytearray((folder / shard.name).read_bytes())
    content[156:157] = kind
    (folder / shard.name).write_bytes(content)
    with pytest.raises(UserError, match="holds other samples than its manifest names"):
        next(stream(manifest))


def test_a_member_behind_the_last_one_reaches_no_reader(folder: Path) -> None:
    manifest = read_manifest(folder)
    shard = next(manifest.shards())
    content = bytearray((folder / shard.name).read_bytes())
    end = max(
        int(offset + -(-size // 512) * 512)
        for places in shard.members.values()
        for offset, size in places.T
    )
    # A sparse file of a terabyte, which a stream would read through.
    giant = tarfile.TarInfo("giant.image.png")
    giant.type, giant.size = tarfile.GNUTYPE_SPARSE, 2**40
    content[end : end + 512] = giant.tobuf(tarfile.GNU_FORMAT)[:512]
    (folder / shard.name).write_bytes(content)
    with pytest.raises(UserError, match="holds other samples than its manifest names"):
        list(stream(manifest))
