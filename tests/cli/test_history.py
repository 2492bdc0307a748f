from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from support.tiny import Command, TinyDataset

from semflow.cli.history import dvc_md5


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def made(workspace: Path, dataset: TinyDataset) -> Path:
    """A copy of a shard folder in a repository whose second commit holds its hash."""
    folder = workspace / "shards"
    subprocess.run(["cp", "-r", dataset.shards, folder], check=True)
    git("init", "--quiet")
    (workspace / "dvc.lock").write_text("outs: []\n")
    git("add", "dvc.lock")
    git("commit", "--quiet", "-m", "nothing yet")
    (workspace / "dvc.lock").write_text(f"outs:\n  md5: {dvc_md5(folder)}\n")
    git("commit", "--quiet", "-am", "lock the shards")
    (workspace / "dvc.lock").write_text("outs:\n  md5: something else\n")
    git("commit", "--quiet", "-am", "other shards")
    return folder


def test_a_result_is_found_in_the_history_by_its_bytes(
    made: Path, semflow_command: Command
) -> None:
    commit = git("log", "-1", "--skip=1", "--format=%h")
    last = semflow_command("inspect", made).out.splitlines()[-1]
    assert last.startswith(f"  commit: {commit} ")
    assert last.endswith("lock the shards")
    (made / "train" / "note.txt").write_text("one byte more")
    last = semflow_command("inspect", made).out.splitlines()[-1]
    assert last.startswith("  commit: none; no dvc.lock in this history holds")


def test_our_hash_of_a_folder_and_of_a_file_is_dvcs_own(
    workspace: Path, dataset: TinyDataset
) -> None:
    git("init", "--quiet")
    repo = Repo.init(str(workspace))
    subprocess.run(["cp", "-r", dataset.shards, workspace / "shards"], check=True)
    (workspace / "file.json").write_text("{}")
    for name in ("shards", "file.json"):
        [stage] = repo.add(str(workspace / name))
        assert stage.outs[0].hash_info.value == dvc_md5(workspace / name)
    repo.close()
