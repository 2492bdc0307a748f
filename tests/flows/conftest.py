"""The project of flows_project in a folder of its own, and a Prefect server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from prefect.testing.utilities import prefect_test_harness
from support.flows_project import CONFIG, GRAPH, IGNORED, PACKAGE, STAGE, sh

from tools.closure import ROOT


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
    (root / "stages").mkdir()
    (root / "stages" / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (root / "stages" / "work.py").write_text(STAGE, encoding="utf-8")
    (root / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    shutil.copytree(ROOT / "recipes", root / "recipes")
    (root / "data" / "raw" / "earth").mkdir(parents=True)
    (root / "data" / "raw" / "earth" / "file").write_text("raw", encoding="utf-8")
    sh(root, "git", "add", "--all")
    sh(root, "git", "commit", "--quiet", "-m", "first")
    monkeypatch.chdir(root)
    for name in ("SEMFLOW_LAUNCH", "SEMFLOW_OUTCOME", "SEMFLOW_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return root


@pytest.fixture
def bucket(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of a local S3 server, the project's default remote; its address."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # Neither the user's own account nor a search for one on the network.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "empty").touch()
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "empty"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "empty"))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="bucket")
    for command in (
        ["add", "-d", "store", "s3://bucket/store"],
        ["modify", "store", "endpointurl", address],
    ):
        sh(project, sys.executable, "-m", "dvc", "remote", *command)
    yield address
    server.stop()


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """A Prefect server and database that go away with the session."""
    with prefect_test_harness(server_startup_timeout=180):
        yield
