from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from semflow.core.errors import UserError
from semflow.core.packages import extract_from_packages

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two data files, the only one that pip can find."""
    links = tmp_path / "links"
    links.mkdir()
    path = links / "planet_maps-1.2-py3-none-any.whl"
    info = "planet_maps-1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("planet_maps/data/map.jpg", CONTENT)
        archive.writestr("planet_maps/data/legend.txt", b"water, land")
        archive.writestr("planet_maps/tiles/", b"")
        archive.writestr("planet_maps/tiles/north/1.png", b"one")
        archive.writestr("planet_maps/tiles/south/deep/1.png", b"two")
        archive.writestr("planet_maps/old_tiles/north/1.png", b"old")
        archive.writestr("planet_maps/tiles.py", b"import this")
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: planet-maps\nVersion: 1.2\nRequires-Dist: never-there\n",
        )
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return path


def requirements(folder: Path, name: str, sha256: str) -> Path:
    path = folder / "packages.txt"
    path.write_text(f"{name} --hash=sha256:{sha256}\n", encoding="utf-8")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_wanted_files_lie_side_by_side_and_no_dependency_is_followed(
    wheel: Path, tmp_path: Path
) -> None:
    pins = requirements(tmp_path, "planet-maps==1.2", sha256(wheel))
    out = tmp_path / "raw" / "earth"
    extract_from_packages(pins, ["map.jpg", "legend.txt"], out)
    assert {path.name for path in out.parent.iterdir()} == {"earth"}
    assert {path.name for path in out.iterdir()} == {"map.jpg", "legend.txt"}
    assert (out / "map.jpg").read_bytes() == CONTENT
    assert (out / "legend.txt").read_bytes() == b"water, land"


def test_a_folders_files_keep_their_paths_below_it_and_nothing_else_comes_along(
    wheel: Path, tmp_path: Path
) -> None:
    pins = requirements(tmp_path, "planet-maps==1.2", sha256(wheel))
    out = tmp_path / "out"
    extract_from_packages(pins, ["tiles/", "legend.txt"], out)
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert found.keys() == {"tiles/north/1.png", "tiles/south/deep/1.png", "legend.txt"}
    assert found["tiles/north/1.png"].read_bytes() == b"one"
    assert found["tiles/south/deep/1.png"].read_bytes() == b"two"


@pytest.mark.parametrize(
    ("package", "hashed", "complaint"),
    [
        ("planet-maps==1.2", b"other bytes", "DO NOT MATCH THE HASHES"),
        ("planet-maps==9.9", None, "planet-maps==9.9"),
        ("moon-maps==1.0", None, "moon-maps==1.0"),
    ],
)
def test_a_package_that_cannot_be_had_as_pinned_is_one_line_and_leaves_the_old_files(
    wheel: Path, tmp_path: Path, package: str, hashed: bytes | None, complaint: str
) -> None:
    pin = sha256(wheel) if hashed is None else hashlib.sha256(hashed).hexdigest()
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(UserError) as refusal:
        extract_from_packages(requirements(tmp_path, package, pin), ["map.jpg"], out)
    message = str(refusal.value)
    assert message.startswith(f"cannot fetch the packages of {tmp_path / 'packages.txt'} (")
    assert message.endswith("check pip's access to a package index and run again")
    assert complaint in message
    assert "\n" not in message
    assert {path.name for path in tmp_path.iterdir()} == {"links", "out", "packages.txt"}
    assert [path.name for path in out.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["moon.jpg", "moons/", "tiles"])
def test_a_file_or_folder_that_no_package_holds_is_named(
    wheel: Path, tmp_path: Path, name: str
) -> None:
    pins = requirements(tmp_path, "planet-maps==1.2", sha256(wheel))
    with pytest.raises(UserError, match=rf"no downloaded package holds {name};"):
        extract_from_packages(pins, ["map.jpg", name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("wheel")
def test_a_requirement_without_a_hash_is_refused(tmp_path: Path) -> None:
    pins = tmp_path / "packages.txt"
    pins.write_text("planet-maps==1.2\n", encoding="utf-8")
    with pytest.raises(UserError, match="cannot fetch the packages"):
        extract_from_packages(pins, ["map.jpg"], tmp_path / "out")
