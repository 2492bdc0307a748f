"""Data that goes missing or bad between two stages: `make test-faults`."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.road import (
    OWN,
    Road,
    out_of,
    refused_in_one_line,
    remove,
    subject_of,
)

from bench.kills import digest
from semflow.core.files import read_json
from semflow.params.recipes import round_trip
from stages.entry import Folders

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("project")]

Noted = Callable[[str, Sequence[str]], None]
CACHE = Path(".dvc/cache/files/md5")
READERS = {
    "shards": "pseudo_masks",
    "pseudo_masks": "train",
    "image_latents": "train",
    "mask_latents": "train",
    "autoencoder": "train",
    "backbone": "train",
    "train": "evaluate",
    "baseline": "evaluate",
}
"""A stage that reads what another one has made."""


def test_a_raw_file_that_vanishes_after_the_index_is_named_and_once_back_costs_nothing(
    road: Road, noted: Noted
) -> None:
    subject = subject_of("shards")
    raw = [path for path in sorted(Folders(OWN).raw.rglob("*")) if path.is_file()]
    for lost in random.Random(0).sample(raw, 2):
        remove(subject.out)
        aside = Path(shutil.move(lost, "aside"))
        said = refused_in_one_line(subject.command, os.environ)
        assert lost.stem in said
        assert not subject.out.exists()
        shutil.move(aside, lost)
        assert subject.start().wait() == 0
        assert digest(subject.out) == road.digests["shards"]
    noted(
        "a raw file that vanishes between index and shards",
        ["one line and exit code 2; once it is back, the undisturbed bytes"] * 2,
    )


@pytest.mark.parametrize("stage", ["image_latents", "mask_latents"])
def test_a_deleted_shard_of_latents_is_named_with_the_command_that_brings_it_back(
    road: Road, noted: Noted, stage: str
) -> None:
    subject = subject_of("train")
    lost = random.Random(stage).choice(sorted((out_of(stage) / "train").glob("*.tar")))
    lost.unlink()
    remove(subject.out)
    said = refused_in_one_line(subject.command, os.environ)
    assert str(lost) in said
    assert not subject.out.exists()
    rebuild = re.search(rf"dvc repro -f {stage}@{OWN}", said)
    assert rebuild is not None
    subprocess.run([*rebuild[0].split(), "--single-item"], check=True, capture_output=True)
    assert subject.start().wait() == 0
    assert digest(subject.out) == road.digests["train"]
    noted(
        f"a deleted shard of `{stage}`", ["one line and exit code 2, with the command that mends"]
    )


def cached_files_of(stage: str) -> dict[str, Path]:
    """The cache's objects of a stage's output, by their paths in it.

    Those of the train split, which every reader reads, come first, and of them the largest.
    """
    document = round_trip().load(Path("dvc.lock").read_text("utf-8"))
    (out,) = document["stages"][f"{stage}@{OWN}"]["outs"]
    listing = read_json(CACHE / out["md5"][:2] / out["md5"][2:])
    found = {one["relpath"]: CACHE / one["md5"][:2] / one["md5"][2:] for one in listing}
    return dict(
        sorted(
            found.items(),
            key=lambda item: (not item[0].startswith("train/"), -item[1].stat().st_size),
        )
    )


def flip_a_bit(path: Path, draws: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draws.randrange(len(content) // 2, len(content))] ^= 1 << draws.randrange(8)
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("stage", READERS)
def test_a_flipped_bit_in_dvcs_cache_reaches_no_result(noted: Noted, stage: str) -> None:
    name, path = next(iter(cached_files_of(stage).items()))
    flip_a_bit(path, random.Random(stage))
    remove(out_of(stage))
    subprocess.run(["dvc", "checkout", f"{stage}@{OWN}"], check=False, capture_output=True)
    reader = subject_of(READERS[stage])
    remove(reader.out)
    said = refused_in_one_line(reader.command, os.environ)
    assert Path(name).name in said or str(out_of(stage)) in said
    assert not reader.out.exists()
    noted(f"a flipped bit of `{stage}` in DVC's cache", ["one line and exit code 2"])


class Dropping(SimpleHTTPRequestHandler):
    """Serves a folder, and breaks off in the middle of some answers."""

    dropped: set[str]
    """Paths whose next answer is broken off."""

    def copyfile(self, source: object, outputfile: object) -> None:
        """Sends a body, or half of it."""
        content = source.read()  # type: ignore[attr-defined]
        if self.path in self.dropped:
            content = content[: len(content) // 2]
        outputfile.write(content)  # type: ignore[attr-defined]
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@contextmanager
def dropping_server(folder: Path, dropped: set[str]) -> Iterator[str]:
    """A server that does so; its address."""
    handler = partial(type("Handler", (Dropping,), {"dropped": dropped}), directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_remote_that_breaks_off_leaves_nothing_half_pulled_and_the_next_pull_is_whole(
    road: Road, project: Path, noted: Noted
) -> None:
    stages = ("shards", "train")
    names = [f"{stage}@{OWN}" for stage in stages]
    remote = project.with_name("remote")
    shutil.move(".dvc/cache", remote)
    served = [path for path in (remote / "files" / "md5").rglob("*") if path.is_file()]
    dropped = {f"/{path.relative_to(remote)}" for path in served if path.stat().st_size > 1000}
    for stage in stages:
        remove(out_of(stage))
    with dropping_server(remote, dropped) as address:
        subprocess.run(["dvc", "remote", "add", "-d", "away", address], check=True)
        pull = ["dvc", "pull", *names]
        cut = subprocess.run(pull, capture_output=True, text=True, check=False)
        assert cut.returncode
        for path in (path for path in CACHE.rglob("*") if path.is_file()):
            if len(path.parent.name + path.stem) == 32:
                assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.stem
        for stage in stages:
            whole = not out_of(stage).exists() or digest(out_of(stage)) == road.digests[stage]
            assert whole, stage
        dropped.clear()
        subprocess.run(pull, check=True, capture_output=True)
    for stage in stages:
        assert digest(out_of(stage)) == road.digests[stage]
    noted(
        "a remote that breaks off in the middle of objects",
        ["`dvc pull` fails and leaves nothing half-written; the next one is whole"],
    )
