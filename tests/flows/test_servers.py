"""Servers that the documents start listen on loopback only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[psutil.Process, int]]:
    """`prefect server start` as docs/flows.md has it, on a free port with a database of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    environment |= {"PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    yield psutil.Process(child.pid), port
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Addresses and ports that a process and its children take connections at."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        for connection in one.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr.ip, connection.laddr.port))
    return found


def test_prefects_server_listens_on_loopback_alone(started: tuple[psutil.Process, int]) -> None:
    process, port = started
    found: set[tuple[str, int]] = set()
    for _ in range(1200):
        found = listening(process)
        if port in {number for _, number in found}:
            break
        time.sleep(0.1)
    assert ("127.0.0.1", port) in found
    assert {address for address, _ in found} <= {"127.0.0.1", "::1"}
