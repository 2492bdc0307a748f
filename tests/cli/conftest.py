from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from support.tiny import Command, Result, random_images, random_label

from semflow.cli.main import main
from semflow.pipeline import SemFlowPipeline


@pytest.fixture
def semflow_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `semflow ARGUMENTS...` in this process; a traceback fails the test."""

    def run(*arguments: str | Path | int) -> Result:
        monkeypatch.setattr(sys, "argv", ["semflow", *map(str, arguments)])
        capsys.readouterr()
        code: str | int | None = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, moving_pipeline: SemFlowPipeline) -> Path:
    """The tiny pipeline on disk."""
    folder = tmp_path_factory.mktemp("models") / "pipeline"
    moving_pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def inputs(workspace: Path) -> Path:
    """Sound and unsound files: images a.png, b.png; labels l.png, m.png; and what is neither."""
    for name, array in zip("ab", random_images(2), strict=True):
        Image.fromarray(array).save(workspace / f"{name}.png")
    for seed, name in enumerate("lm"):
        Image.fromarray(random_label(seed)).save(workspace / f"{name}.png")
    Image.new("RGB", (20, 16)).save(workspace / "wide.png")
    Image.new("L", (20, 16)).save(workspace / "wide_label.png")
    Image.new("L", (16, 16), 9).save(workspace / "strange_id.png")
    (workspace / "text.png").write_text("no image", encoding="utf-8")
    (workspace / "cut.png").write_bytes((workspace / "a.png").read_bytes()[:200])
    return workspace
