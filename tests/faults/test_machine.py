"""Disks that are full or read-only, and clocks that jump: `make test-faults`."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.road import Road, out_of, refused_in_one_line, remove, subject_of

from bench.kills import Subject, digest, kill_once, pieces_in, runs_again
from semflow.core.resume import ROOT_VARIABLE

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("project")]

Noted = Callable[[str, Sequence[str]], None]
LINE = "one line and exit code 2, nothing half-written; then the undisturbed bytes"
PAGE = 4096
STAGES = ("shards", "image_latents", "train")
YEARS = 10 * 365 * 86400
"""Ten, in seconds."""
JUMPING_CLOCK = f"""
import itertools, time

def jumping(clock, unit):
    turns = itertools.count()
    # Hours ahead, then years back, then right again, at every fiftieth look.
    jumps = (0, 7200 * unit, -{YEARS} * unit)
    return lambda: clock() + jumps[next(turns) // 50 % 3]

time.time, time.time_ns = jumping(time.time, 1), jumping(time.time_ns, 10**9)
"""


def mount(*arguments: str) -> None:
    """Calls mount(8), or skips the test where that is not permitted."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@contextmanager
def disk_with_room(folder: Path, room: int) -> Iterator[None]:
    """Puts a folder on a disk of its own with so many bytes free; what it then holds is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = Path(shutil.move(folder, folder.with_name(f"{folder.name}-aside")))
    folder.mkdir()
    files = [path for path in aside.rglob("*") if path.is_file()]
    used = sum(-(-path.stat().st_size // PAGE) * PAGE for path in files)
    mount("-t", "tmpfs", "-o", f"size={used + room + PAGE}", "tmpfs", str(folder))
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def folder_of(subject: Subject, place: str) -> Path:
    return subject.scratch if place == "scratch" else subject.out.parent


def environment_of(subject: Subject) -> dict[str, str]:
    return {**os.environ, ROOT_VARIABLE: str(subject.scratch)}


def names_in(folder: Path) -> set[str]:
    """Of a folder's files, but for locks, which hold nothing."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


@pytest.mark.parametrize("place", ["scratch", "outputs"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_line_and_with_room_the_same_command_ends_in_the_same_bytes(
    road: Road, noted: Noted, stage: str, place: str
) -> None:
    subject, expected = subject_of(stage), road.digests[stage]
    made = sum(path.stat().st_size for path in subject.out.rglob("*") if path.is_file())
    remove(subject.out)
    folder = folder_of(subject, place)
    before = names_in(folder) if folder.is_dir() else set()
    share = random.Random(f"{stage} {place}").uniform(0.1, 0.8)
    with disk_with_room(folder, int(made * share) // PAGE * PAGE):
        said = refused_in_one_line(subject.command, environment_of(subject))
        assert "no room is left" in said
        assert not subject.out.exists()
        if place == "outputs":
            assert names_in(folder) == before
        mount("-o", "remount,size=64m", str(folder))
        assert subject.start().wait() == 0
        assert digest(subject.out) == expected
    noted(f"a full disk below the {place} of `{stage}`", [LINE])


@pytest.mark.parametrize("place", ["scratch", "outputs"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_read_only_disk_is_one_line_and_costs_nothing(
    road: Road, noted: Noted, stage: str, place: str
) -> None:
    subject, expected = subject_of(stage), road.digests[stage]
    folder = folder_of(subject, place)
    with disk_with_room(folder, 2**26):
        mount("-o", "remount,ro", str(folder))
        said = refused_in_one_line(subject.command, environment_of(subject))
        assert "Read-only file system" in said
        # What was there before is there still.
        assert digest(subject.out) == expected
        mount("-o", "remount,rw", str(folder))
        remove(subject.out)
        assert subject.start().wait() == 0
        assert digest(subject.out) == expected
    noted(f"read-only {place} of `{stage}`", [LINE])


@pytest.mark.parametrize("stage", ["index", *STAGES])
def test_under_a_clock_that_jumps_a_stage_makes_the_same_bytes(
    road: Road, noted: Noted, stage: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "clock").mkdir()
    (project / "clock" / "sitecustomize.py").write_text(JUMPING_CLOCK, encoding="utf-8")
    places = f"{project / 'clock'}{os.pathsep}{os.environ['PYTHONPATH']}"
    monkeypatch.setenv("PYTHONPATH", places)
    remove(out_of(stage))
    assert subject_of(stage).start().wait() == 0
    assert digest(out_of(stage)) == road.digests[stage]
    noted(f"a clock that jumps by hours and years under `{stage}`", ["the undisturbed bytes"])


@pytest.mark.parametrize("years", [YEARS, -YEARS], ids=["ahead", "back"])
@pytest.mark.parametrize("stage", ["image_latents", "train"])
def test_pieces_from_another_time_are_taken_for_what_they_hold(
    road: Road, noted: Noted, stage: str, years: int
) -> None:
    subject = subject_of(stage)
    remove(subject.out)
    killed = kill_once(subject, 0.5, road.seconds[stage])
    assert killed is not None
    for number, path in enumerate(sorted(subject.scratch.rglob("*"))):
        # Each by another jump: what was made later now looks older.
        when = path.stat().st_mtime + years - number * 60
        os.utime(path, (when, when))
    assert not runs_again(subject, pieces_in(subject.scratch))
    assert digest(subject.out) == road.digests[stage]
    where = "ahead" if years > 0 else "back"
    noted(
        f"a clock ten years {where} between a kill of `{stage}` and its next run",
        ["the undisturbed bytes, nothing finished made again"],
    )
