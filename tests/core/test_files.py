from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from semflow.core.errors import UserError
from semflow.core.files import (
    publish_folder,
    read_json,
    sha256_of,
    tree_state,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_files_checksum_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_json_that_is_nested_without_end_and_a_folder_in_its_place_are_one_line(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    said_of = {"deep": "is not JSON", "folder": "is a folder", "loop": "cannot be read"}
    for name, said in said_of.items():
        with pytest.raises(UserError, match=said):
            read_json(tmp_path / name)


def test_json_has_the_same_bytes_in_whatever_order_keys_are_given(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1, "y": [1.5, None]})
    write_json(tmp_path / "b", {"y": [1.5, None], "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_text("utf-8").endswith("}\n")
    assert read_json(tmp_path / "a") == {"x": 1, "y": [1.5, None]}


def test_what_is_no_json_is_never_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a", {"x": float("nan")})
    assert content(tmp_path) == {"a": b'{\n  "x": 1\n}\n'}


def test_an_absent_and_a_broken_json_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a not found; run the stage that makes it"):
        read_json(tmp_path / "a")
    (tmp_path / "a").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="a is not JSON"):
        read_json(tmp_path / "a")


def test_a_text_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a", "long text")
    write_text(tmp_path / "new" / "a", "ä")
    assert content(tmp_path) == {"new/a": "ä".encode()}


def test_a_finished_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_bytes(b"old")
    with whole_folder(out) as folder:
        (folder / "new").write_bytes(b"new")
        assert content(out) == {"old": b"old"}
    assert content(out) == {"new": b"new"}


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_folder_leaves_the_old_one_whole(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_bytes(b"old")

    def write() -> None:
        with whole_folder(out) as folder:
            (folder / "new").write_bytes(b"half")
            raise stop

    with pytest.raises(stop):
        write()
    assert content(out) == {"old": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_writers_of_one_folder_do_not_mix_and_the_last_wins(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as first:
        (first / "config").write_bytes(b"first")
        with whole_folder(out) as second:
            (second / "config").write_bytes(b"second")
            (second / "weights").write_bytes(b"second")
        assert content(out) == {"config": b"second", "weights": b"second"}
    assert content(out) == {"config": b"first"}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


def test_a_file_whose_writer_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as partial:
            partial.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write()
    assert content(tmp_path) == {"a": b"old"}


def folder_with(path: Path, content: str) -> Path:
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_text(content, encoding="ascii")
    return path


def test_a_published_folder_replaces_the_old_one_and_shares_its_bytes_with_its_source(
    tmp_path: Path,
) -> None:
    made, out = folder_with(tmp_path / "made", "new"), folder_with(tmp_path / "a" / "out", "old")
    (out / "stale").touch()
    publish_folder(made, out)
    assert (out / "deep/file").read_text() == "new"
    assert not (out / "stale").exists()
    assert (out / "deep/file").samefile(made / "deep/file")


@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_folder_is_copied_whole_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int
) -> None:
    # A bind mount of the same device refuses so, too.
    def refuse(source: str, target: str) -> None:
        raise OSError(refusal, "refused", source, None, target)

    monkeypatch.setattr(os, "link", refuse)
    made, out = folder_with(tmp_path / "made", "new"), folder_with(tmp_path / "out", "old")
    publish_folder(made, out)
    assert content(out) == content(made) == {"deep/file": b"new"}
    assert not (out / "deep/file").samefile(made / "deep/file")


def test_where_a_copy_finds_no_room_the_error_says_so_and_the_old_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, "another file system")

    def fill(_source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "full", target)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", fill)
    made, out = folder_with(tmp_path / "made", "new"), folder_with(tmp_path / "out", "old")
    with pytest.raises(OSError, match="full") as caught:
        publish_folder(made, out)
    assert caught.value.errno == errno.ENOSPC
    assert content(out) == {"deep/file": b"old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "out"]


def test_a_folder_on_another_file_system_is_published_whole(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with TemporaryDirectory(dir=elsewhere) as folder:
        made = folder_with(Path(folder) / "made", "new")
        publish_folder(made, folder_with(tmp_path / "out", "old"))
    assert (tmp_path / "out/deep/file").read_text() == "new"


def test_a_link_that_leads_nowhere_and_a_name_that_is_no_text_are_part_of_a_trees_state(
    tmp_path: Path,
) -> None:
    tree = folder_with(tmp_path / "tree", "abc")
    before = tree_state(tree)
    (tree / "link").symlink_to(tmp_path / "nowhere")
    linked = tree_state(tree)
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff")).touch()
    assert len({before, linked, tree_state(tree)}) == 3


def test_bytes_are_on_the_disk_before_a_rename_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    fsync, rename = os.fsync, os.rename

    def note_sync(descriptor: int) -> None:
        happened.append(f"disk {os.fstat(descriptor).st_ino}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", lambda *paths: (happened.append("rename"), rename(*paths))[1])
    monkeypatch.setattr(
        os, "replace", lambda *paths: (happened.append("rename"), rename(*paths))[1]
    )
    write_text(tmp_path / "a", "text")
    file, parent = ((tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino)
    assert happened == [f"disk {file}", "rename", f"disk {parent}"]
    happened.clear()
    with whole_folder(tmp_path / "out") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "b").write_text("text", encoding="ascii")
    out = tmp_path / "out"
    inside = [path.stat().st_ino for path in (out / "deep" / "b", out / "deep", out)]
    made = happened.index("rename")
    assert happened[:made] == [f"disk {number}" for number in inside]
    assert happened[-1] == f"disk {parent}"


def test_links_that_lead_back_up_end(tmp_path: Path) -> None:
    tree = folder_with(tmp_path / "tree", "abc")
    states = {tree_state(tree)}
    # Followed, two of them would make 2 to the power of 40 paths.
    for name in ("back", "again"):
        (tree / "deep" / name).symlink_to(tree)
        states.add(tree_state(tree))
    assert len(states) == 3


def test_the_state_of_a_tree_changes_with_any_of_its_files(tmp_path: Path) -> None:
    file = folder_with(tmp_path / "tree", "abc") / "deep/file"
    states = [tree_state(tmp_path / "tree")]
    assert tree_state(tmp_path / "tree") == states[0]
    file.write_text("abcd")
    states.append(tree_state(tmp_path / "tree"))
    os.utime(file, (1, 1))
    states.append(tree_state(tmp_path / "tree"))
    file.rename(file.with_name("other"))
    states.append(tree_state(tmp_path / "tree"))
    assert len(set(states)) == 4
