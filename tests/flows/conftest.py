"""The project of flows_project in a folder of its own, and a Prefect server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from closure import ROOT
from flows_project import CONFIG, GRAPH, IGNORED, STAGE, sh
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit and raw data of earth, which is the current folder."""
    root = tmp_path / "project"
    root.mkdir()
    sh(root, "git", "init", "--quiet", "--initial-branch", "main")
    sh(root, "git", "config", "user.name", "someone")
    sh(root, "git", "config", "user.email", "someone@example.org")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(CONFIG, encoding="utf-8")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    (root / ".dvcignore").write_text("logs\n.scratch\n", encoding="utf-8")
    (root / ".gitignore").write_text(IGNORED, encoding="utf-8")
    (root / "stage.py").write_text(STAGE, encoding="utf-8")
    (root / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (root / "data" / "raw" / "earth").mkdir(parents=True)
    (root / "data" / "raw" / "earth" / "file").write_text("raw", encoding="utf-8")
    sh(root, "git", "add", "--all")
    sh(root, "git", "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(root)
    monkeypatch.delenv("SEMFLOW_LAUNCH", raising=False)
    monkeypatch.delenv("SEMFLOW_SCRATCH", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return root


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """A Prefect server and database that go away with the session."""
    with prefect_test_harness(server_startup_timeout=180):
        yield
