"""Fixtures of the metric tests: where the weights of the fixed networks lie."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

# Importing the package first makes torchvision importable under a CPU-only torch, also for
# torchmetrics, which the test modules import before anything of ours.
import semflow  # noqa: F401

_REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def weights_file() -> Callable[[str], Path]:
    """Find a weights file by name, or skip the test with the reason."""
    default = _REPOSITORY / "models" / "metrics"
    folder = Path(os.environ.get("SEMFLOW_METRIC_WEIGHTS", default))

    def find(name: str) -> Path:
        path = folder / name
        if not path.is_file():
            pytest.skip(f"no {name} in {folder}; set SEMFLOW_METRIC_WEIGHTS to the folder with it")
        return path

    return find


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, whoever opens a socket to another machine fails."""

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"asked the network: {arguments}")

    def begin() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)

    return begin
