"""A finished road to strike, and a note of what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.road import Road, make_road, quiet_environment

from bench.faults import RESULTS_VARIABLE, note
from tools.closure import ROOT


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """All stages of a user's own few images, under DVC; not to be altered."""
    return make_road(tmp_path_factory.mktemp("road") / "project")


@pytest.fixture
def project(road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that is the current folder, with an environment that changes nothing."""
    environment = quiet_environment()
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = road.copied_to(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def noted(request: pytest.FixtureRequest) -> Callable[[str, Sequence[str]], None]:
    """Notes how the trials of a fault ended, for docs/reliability.md; to be called last."""
    file = Path(str(request.node.path)).relative_to(ROOT).as_posix()
    given = os.environ.get(RESULTS_VARIABLE)

    def noting(fault: str, outcomes: Sequence[str]) -> None:
        """One fault's."""
        if given:
            note(fault, outcomes, f"{file}::{request.node.originalname}", ROOT / given)

    return noting
