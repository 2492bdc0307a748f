"""Stages as they are run, killed at random moments of their work: `make test-faults`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from support.road import (
    OWN,
    TARGET,
    Road,
    out_of,
    remove,
    stages_started,
    subject_of,
)

from bench.kills import Subject, digest, kill_once, pieces_in, runs_again
from semflow.core.files import write_text
from semflow.core.outcomes import BUSY, EXIT_CODES
from semflow.params.recipes import round_trip, written
from stages.launch import LAUNCH_VARIABLE

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("project")]

Noted = Callable[[str, Sequence[str]], None]
KILLED = (
    "index",
    "shards",
    "pseudo_masks",
    "image_latents",
    "mask_latents",
    "train",
    "evaluate",
)
SAME = "the undisturbed bytes, nothing finished made again"
FORGOTTEN = ("shards", "train")
"""Stages that DVC has to run again; what they make is the same, so that no other one has to."""
KILLS_ITS_SESSION = """
import os, signal, subprocess, sys
code = subprocess.call(sys.argv[1:])
# DVC, which waits for this stage, leads the session.
os.killpg(os.getsid(0), signal.SIGKILL)
sys.exit(code)
"""


def short_and_long(short: int, long: int) -> pytest.MarkDecorator:
    """How many kills: a seeded few, or with `make test-faults-long` all of them."""
    marked = pytest.param(long, marks=pytest.mark.faults_long, id=f"{long}-kills")
    return pytest.mark.parametrize("kills", [pytest.param(short, id=f"{short}-kills"), marked])


def at_work(scratch: Path) -> bool:
    """Whether a run holds its scratch folder: Python's start and the imports are over."""
    return any(scratch.rglob("order"))


def whole_or_absent(out: Path, expected: str) -> bool:
    return not out.exists() or digest(out) == expected


@short_and_long(2, 6)
@pytest.mark.parametrize("stage", KILLED)
def test_a_stage_killed_at_work_ends_in_the_same_bytes_and_makes_nothing_finished_again(
    road: Road, noted: Noted, stage: str, kills: int
) -> None:
    moments = random.Random(f"{stage} 0")
    subject, expected = subject_of(stage), road.digests[stage]
    for _ in range(kills):
        remove(subject.out)
        killed = kill_once(subject, moments.random(), road.seconds[stage], at_work)
        assert killed is not None
        assert whole_or_absent(subject.out, expected)
        assert not runs_again(subject, killed[1])
        assert digest(subject.out) == expected
    noted(f"SIGKILL while `{stage}` works", [SAME] * kills)


@short_and_long(1, 4)
def test_of_two_runs_at_once_one_works_and_both_killed_end_in_the_same_bytes(
    road: Road, noted: Noted, kills: int
) -> None:
    moments = random.Random(1)
    subject, expected = subject_of("image_latents"), road.digests["image_latents"]
    allowed = {0, EXIT_CODES[BUSY]}
    for _ in range(kills):
        shutil.rmtree(subject.scratch, ignore_errors=True)
        remove(subject.out)
        runs = [subject.start(), subject.start()]
        while not at_work(subject.scratch):
            time.sleep(0.02)
        time.sleep(moments.random())
        codes = {run.poll() for run in runs} - {None}
        assert codes <= allowed
        for run in runs:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        assert whole_or_absent(subject.out, expected)
        left = pieces_in(subject.scratch)
        again = [subject.start(), subject.start()]
        codes = {run.wait() for run in again}
        assert 0 in codes
        assert codes <= allowed
        now = pieces_in(subject.scratch)
        assert all(now.get(path) == made for path, made in left.items())
        assert digest(subject.out) == expected
    noted("SIGKILL of two runs of `image_latents` at once", [SAME] * kills)


def forget_runs(stages: Sequence[str]) -> None:
    """Makes DVC run stages again: neither its lock nor its cache of runs knows them."""
    document = round_trip().load(Path("dvc.lock").read_text("utf-8"))
    for stage in stages:
        document["stages"].pop(f"{stage}@{OWN}", None)
        remove(out_of(stage))
    write_text(Path("dvc.lock"), written(document))
    shutil.rmtree(".dvc/cache/runs", ignore_errors=True)
    shutil.rmtree(".scratch", ignore_errors=True)


def finished_stages() -> set[str]:
    """Those that DVC holds for done."""
    document = round_trip().load(Path("dvc.lock").read_text("utf-8"))
    return {name.partition("@")[0] for name in document["stages"]}


def assert_all_same(road: Road) -> None:
    for stage, expected in road.digests.items():
        assert digest(out_of(stage)) == expected, stage


@short_and_long(1, 3)
def test_repro_killed_at_a_random_moment_repeats_no_finished_stage(
    road: Road, noted: Noted, kills: int
) -> None:
    moments = random.Random(2)
    command = ["dvc", "repro", TARGET]
    for _ in range(kills):
        forget_runs(FORGOTTEN)
        seconds = moments.random() * sum(road.seconds[stage] for stage in FORGOTTEN)
        with subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL) as run:
            with suppress(subprocess.TimeoutExpired):
                run.wait(timeout=seconds)
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        finished = finished_stages()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not set(stages_started(done.stdout)) & finished
        assert_all_same(road)
    noted("SIGKILL of `dvc repro`", [SAME] * kills)


@short_and_long(1, 4)
def test_repro_killed_between_a_stages_end_and_its_hashing_does_no_work_again(
    road: Road,
    project: Path,
    noted: Noted,
    kills: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = project / "kills_its_session.py"
    script.write_text(KILLS_ITS_SESSION, encoding="utf-8")
    for number in range(kills):
        stage = FORGOTTEN[-1 - number % 2]
        # What it reads stays.
        forget_runs([stage])
        command = ["dvc", "repro", "--single-item", f"{stage}@{OWN}"]
        subject = Subject(command, out_of(stage), Path(".scratch").absolute())
        with monkeypatch.context() as patch:
            patch.setenv(LAUNCH_VARIABLE, f"{sys.executable} {script}")
            assert subject.start().wait() == -signal.SIGKILL
        assert stage not in finished_stages()
        assert digest(subject.out) == road.digests[stage]
        left = pieces_in(subject.scratch)
        assert left
        assert not runs_again(subject, left)
        assert stage in finished_stages()
        assert digest(subject.out) == road.digests[stage]
    noted("SIGKILL between a stage's end and DVC's hashing", [SAME] * kills)
