from __future__ import annotations

import random
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster
from support.alone import checksums, start
from support.tiny import TinyDataset
from support.tiny_data import (
    CLASSES,
    TRAIN_SAMPLES,
    VAL_SAMPLES,
    DyingReader,
    flip_a_byte,
    index_of,
    pixels_of,
    pseudo_masks_of,
    scratch_for,
)

from semflow.core.pool import SCHEDULER_VARIABLE
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams

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
    return root


def kill_midway(stage: str, root: Path, delay: float, after: int) -> int:
    """Kills a run at a random moment after its first shards; returns how many are finished."""
    notes = scratch_for(root / stage) / "notes"
    with start(stage, root, delay) as run:
        deadline = time.monotonic() + 60
        while len(list(notes.rglob("*.tar.json"))) < after:
            assert time.monotonic() < deadline, "no shard was finished within a minute"
            time.sleep(0.01)
        time.sleep(random.uniform(0, delay))
        assert run.poll() is None, "the run ended before it could be killed"
        run.kill()
    return len(list(notes.rglob("*.tar.json")))


def finish_it(stage: str, root: Path, launcher: tuple[str, ...] = ()) -> tuple[str, str]:
    """Runs a stage to its end; returns what it said on stdout and on stderr."""
    with start(stage, root, launcher=launcher) as run:
        said, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    return said, errors


def kept(errors: str, stage: str) -> int:
    found = re.search(rf"^{stage}: (\d) of {SHARDS} shards were done$", errors, re.MULTILINE)
    assert found, errors
    return int(found[1])


def leave_half_a_shard(scratch: Path) -> None:
    """What a run that is killed while it writes a tar leaves behind."""
    partial = scratch / "out" / "train" / ".000001.tar.0123456789abcdef.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(b"half")


def test_killed_pixel_shards_go_on_to_the_same_bytes(root: Path, dataset: TinyDataset) -> None:
    finished = kill_midway("shards", root, delay=0.1, after=1)
    assert not (root / "shards").exists()
    leave_half_a_shard(scratch_for(root / "shards"))
    assert SHARDS > kept(finish_it("shards", root)[1], "shards") >= finished
    assert checksums(root / "shards") == checksums(dataset.shards)


def test_two_ranks_finish_the_latents_that_one_was_killed_at_with_the_same_bytes(
    with_shards: Path, dataset: TinyDataset
) -> None:
    finished = kill_midway("latents", with_shards, delay=0.2, after=2)
    scratch = scratch_for(with_shards / "latents")
    # Made anew, and the half one is no part of the result.
    flip_a_byte(scratch / "out" / "train" / "000000.tar")
    leave_half_a_shard(scratch)
    said, errors = finish_it("latents", with_shards, launcher=(sys.executable, *TORCHRUN))
    assert sorted(said.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
    assert kept(errors, "image_latents") == finished - 1
    assert checksums(with_shards / "latents") == checksums(dataset.image_latents)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers in processes of their own, for several stages."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        monkeypatch.setenv(SCHEDULER_VARIABLE, cluster.scheduler_address)
        yield


@pytest.mark.usefixtures("two_processes")
def test_worker_processes_write_the_same_bytes_though_some_die(
    tmp_path: Path, dataset: TinyDataset, params: DatasetParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semflow.index.checking.SAMPLES_PER_CHUNK", 3)
    raw = tmp_path / "raw.txt"
    raw.write_text("raw", encoding="utf-8")
    counts = {"train": TRAIN_SAMPLES, "val": VAL_SAMPLES}

    index = index_of(DyingReader(raw, counts, fatal="train_7"), tmp_path / "index")
    # One of them was killed in the middle and nothing is lost.
    raw.with_suffix(".died").unlink()
    assert checksums(tmp_path / "index") == checksums(dataset.index)

    reader = DyingReader(raw, counts, fatal="val_2")
    pixels_of(index, reader, params.shards, tmp_path / "shards")
    raw.with_suffix(".died").unlink()
    assert checksums(tmp_path / "shards") == checksums(dataset.shards)

    palette = make_palette(params.palette, len(CLASSES.names))
    pseudo_masks_of(tmp_path / "shards", palette, tmp_path / "pseudo_masks")
    assert checksums(tmp_path / "pseudo_masks") == checksums(dataset.pseudo_masks)
