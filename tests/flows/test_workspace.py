from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from dvc.config import Config
from support.flows_project import sh, state_of

from flows.graph import stages_for
from flows.record import Checkpoint, record
from flows.workspace import commit_of, link_raw_data, scratch_root, workspace
from semflow.core.errors import UserError


def test_a_workspace_is_the_commit_and_leaves_the_users_tree_as_it_was(project: Path) -> None:
    (project / "stages" / "work.py").write_text("work in progress", encoding="utf-8")
    (project / "staged").write_text("staged", encoding="utf-8")
    sh(project, "git", "add", "staged")
    before = state_of(project)
    with workspace(project, "run", commit_of(project, None)) as found:
        assert "import" in (found.folder / "stages" / "work.py").read_text("utf-8")
        assert not (found.folder / "staged").exists()
        (found.folder / "params.yaml").write_text("changed", encoding="utf-8")
        folder = found.folder
    assert not folder.exists()
    assert state_of(project) == before


def test_it_goes_when_the_block_fails_and_its_logs_stay(project: Path) -> None:
    with (
        suppress(RuntimeError),
        workspace(project, "run", commit_of(project, None)) as found,
    ):
        (found.folder / "logs" / "curve").write_text("1", encoding="utf-8")
        raise RuntimeError
    assert not found.folder.exists()
    assert (project / "logs" / "runs" / "run" / "curve").read_text("utf-8") == "1"


def test_it_shares_the_cache_and_links_raw_data_that_git_does_not_hold(project: Path) -> None:
    with workspace(project, "run", commit_of(project, None)) as found:
        stages = stages_for("train", "earth", found.folder)
        assert link_raw_data(found, stages) == []
        assert (found.folder / "data/raw/earth").resolve() == project / "data/raw/earth"
        cache = Config(str(found.folder / ".dvc"))["cache"]["dir"]
        assert cache == str(project / ".dvc" / "cache")
        mars = stages_for("train", "mars", found.folder)
        assert link_raw_data(found, mars) == [project / "data/raw/mars"]


def test_what_a_killed_run_left_is_swept_and_a_going_ones_is_not(project: Path) -> None:
    commit = commit_of(project, None)
    script = (
        "import os, sys; from pathlib import Path; from flows.workspace import workspace\n"
        f"with workspace(Path({str(project)!r}), 'killed', {commit!r}): os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, env=dict(os.environ))
    left = scratch_root(project) / "runs" / "killed"
    assert left.is_dir()
    with workspace(project, "first", commit) as first:
        assert not left.exists()
        with workspace(project, "second", commit) as second:
            assert first.folder.is_dir()
            assert second.folder.is_dir()
        with (
            pytest.raises(UserError, match="run first is going on"),
            workspace(project, "first", commit),
        ):
            pass
        assert first.folder.is_dir()


def test_a_worktree_of_the_users_own_is_kept_though_its_disk_is_away(project: Path) -> None:
    sh(project, "git", "worktree", "add", "--quiet", "--detach", "../disk")
    (project.parent / "disk").rename(project.parent / "away")
    with workspace(project, "run", commit_of(project, None)):
        pass
    listed = sh(project, "git", "worktree", "list", "--porcelain")
    assert str(project.parent / "disk") in listed
    assert "runs/run" not in listed


def test_the_users_hooks_and_signatures_are_not_for_runs(project: Path) -> None:
    # `dvc install` makes a hook that checks out what a new worktree cannot have yet.
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    for name, value in {
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
        "gpg.program": "false",
    }.items():
        sh(project, "git", "config", name, value)
    with workspace(project, "run", commit_of(project, None)) as found:
        (found.folder / "params.yaml").write_text("changed", encoding="utf-8")
        commit, branch = record(found, "title", [], Checkpoint("a", {}, {}, {}))
    assert sh(project, "git", "log", "-1", "--format=%s", branch) == "title"
    assert sh(project, "git", "rev-parse", "run^{commit}") == commit


def test_a_record_holds_the_locks_of_both_graphs(project: Path) -> None:
    with workspace(project, "run", commit_of(project, None)) as found:
        for name in ("dvc.lock", "stages/dvc.lock"):
            (found.folder / name).write_text("stages: {}\n", encoding="utf-8")
        commit, _ = record(found, "title", [], Checkpoint("a", {}, {}, {}))
    changed = sh(project, "git", "show", "--format=", "--name-only", commit).split()
    assert changed == ["dvc.lock", "stages/dvc.lock"]


def test_a_revision_may_be_a_tag_and_an_unknown_one_is_told(project: Path) -> None:
    sh(project, "git", "tag", "-m", "x", "some-tag")
    assert commit_of(project, "some-tag") == sh(project, "git", "rev-parse", "HEAD")
    with pytest.raises(UserError, match="'v9' is no commit"):
        commit_of(project, "v9")


@pytest.mark.parametrize("revision", ["--exec-path", "--all", "-n1", "--git-dir=elsewhere"])
def test_an_option_is_no_revision(project: Path, revision: str) -> None:
    with pytest.raises(UserError, match="is no commit"):
        commit_of(project, revision)


def test_scratch_lies_where_the_environment_says(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scratch_root(project) == project / ".scratch"
    monkeypatch.setenv("SEMFLOW_SCRATCH", "/elsewhere")
    assert scratch_root(project) == Path("/elsewhere")


@pytest.mark.parametrize("revision", ["a\0b", "a" * 200_000, "--upload-pack=x", "-x", "a\nb"])
def test_a_revision_that_no_process_can_be_given_or_that_is_an_option_is_one_line(
    project: Path, revision: str
) -> None:
    with pytest.raises(UserError, match="is no commit of") as refusal:
        commit_of(project, revision)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 1000
