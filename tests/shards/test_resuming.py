from __future__ import annotations

import random
import re
import shutil
import sys
import time
from pathlib import Path

import pytest
from alone import checksums, start
from tiny import TinyDataset, flip_a_byte, scratch_for

SHARDS = 4
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.fixture
def root(dataset: TinyDataset, tmp_path: Path) -> Path:
    """The tiny data set's raw file and index, copied."""
    (tmp_path / "raw.txt").write_text("raw", encoding="utf-8")
    shutil.copytree(dataset.index, tmp_path / "index")
    return tmp_path


@pytest.fixture
def with_shards(root: Path, dataset: TinyDataset) -> Path:
    """Its pixel shards too."""
    shutil.copytree(dataset.shards, root / "shards")
    shutil.copy(dataset.digests, root / "digests.json")
    return root


def kill_midway(stage: str, root: Path, delay: float) -> set[str]:
    """Kills a run at a random moment after its first shard; returns the finished ones' names."""
    notes = scratch_for(root / stage) / "notes"
    with start(stage, root, delay) as run:
        deadline = time.monotonic() + 60
        while not list(notes.rglob("*.json")):
            assert time.monotonic() < deadline, "no shard was finished within a minute"
            time.sleep(0.01)
        time.sleep(random.uniform(0, 3 * delay))
        assert run.poll() is None, "the run ended before it could be killed"
        run.kill()
    return {path.name for path in notes.rglob("*.tar.json")}


def finish_it(stage: str, root: Path) -> str:
    """Runs a stage to its end; returns what it said on stderr."""
    with start(stage, root) as run:
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    return errors


def kept(errors: str, stage: str) -> int:
    found = re.search(rf"^{stage}: (\d) of {SHARDS} shards were done$", errors, re.MULTILINE)
    assert found, errors
    return int(found[1])


def test_killed_pixel_shards_go_on_to_the_same_bytes(root: Path, dataset: TinyDataset) -> None:
    kill_midway("shards", root, delay=0.1)
    assert not (root / "shards").exists()
    assert 1 <= kept(finish_it("shards", root), "shards") < SHARDS
    assert checksums(root / "shards") == checksums(dataset.shards)
    assert checksums(root / "digests.json") == checksums(dataset.digests)
    assert not scratch_for(root / "shards").exists()


def test_killed_latents_go_on_to_the_same_bytes_and_an_altered_shard_is_made_anew(
    with_shards: Path, dataset: TinyDataset
) -> None:
    # Two calls of the encoder make a shard: the kill falls into one of the next two.
    finished = kill_midway("latents", with_shards, delay=0.25)
    scratch = scratch_for(with_shards / "latents")
    flip_a_byte(next((scratch / "out").rglob("000000.tar")))
    (scratch / "unfinished").mkdir(exist_ok=True)
    (scratch / "unfinished" / "half").write_bytes(b"half")
    errors = finish_it("latents", with_shards)
    if len(finished) > 1:
        assert kept(errors, "image_latents") == len(finished) - 1
    else:
        assert "were done" not in errors
    assert checksums(with_shards / "latents") == checksums(dataset.image_latents)


def test_killed_latents_keep_their_finished_shards(with_shards: Path, dataset: TinyDataset) -> None:
    finished = kill_midway("latents", with_shards, delay=0.25)
    assert kept(finish_it("latents", with_shards), "image_latents") >= len(finished) >= 1
    assert checksums(with_shards / "latents") == checksums(dataset.image_latents)
    assert not scratch_for(with_shards / "latents").exists()


def test_two_ranks_write_the_same_latents_as_one(with_shards: Path, dataset: TinyDataset) -> None:
    with start("latents", with_shards, launcher=(sys.executable, *TORCHRUN)) as run:
        said, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert sorted(said.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
    assert checksums(with_shards / "latents") == checksums(dataset.image_latents)
    assert not scratch_for(with_shards / "latents").exists()


def test_one_and_two_worker_processes_write_the_same_bytes(
    tmp_path: Path, dataset: TinyDataset
) -> None:
    for workers in (1, 2):
        root = tmp_path / str(workers)
        root.mkdir()
        (root / "raw.txt").write_text("raw", encoding="utf-8")
        for stage in ("index", "shards"):
            with start(stage, root, workers=workers) as run:
                _, errors = run.communicate(timeout=120)
            assert run.returncode == 0, errors
        assert checksums(root / "index") == checksums(dataset.index)
        assert checksums(root / "shards") == checksums(dataset.shards)
        assert checksums(root / "digests.json") == checksums(dataset.digests)
