"""An installation without extras uses a checkpoint."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from semflow.cli.extras import EXTRAS
from semflow.cli.main import main
from tools.closure import ROOT

CHECKPOINT = ROOT / "pretrained" / "robots"
EXAMPLES = ROOT / "pretrained" / "robots-examples"
AT_ROOT = ("pyproject.toml", "README.md", "LICENSE")
SMALL, FULL = "support.small_install", "semflow.cli.main"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`semflow ARGUMENTS...` in a process of its own, in the repository's root."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(command: list[str]) -> list[str]:
    """The lines that a command prints in the repository's root."""
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return result.stdout.splitlines()


def test_without_extras_both_directions_write_the_same_bytes_as_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--steps", "2", "--out")
    for arguments in (
        ("segment", CHECKPOINT, EXAMPLES / "0-image.png", *options),
        ("synthesize", CHECKPOINT, EXAMPLES / "0-label.png", *options),
    ):
        result = run(SMALL, *arguments, tmp_path / "small")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        monkeypatch.setattr(sys, "argv", ["semflow", *map(str, arguments), str(tmp_path / "full")])
        with pytest.raises(SystemExit, match="0"):
            main()
    small, full = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("small", "full")
    )
    assert small.keys() == {"0-image.png", "0-image.color.png", "0-label.0.png"}
    assert small == full


@pytest.mark.parametrize(
    "arguments", [("inspect", "pretrained/robots"), ("cost", "robots"), ("--help",)]
)
def test_without_extras_what_reads_alone_says_the_same(arguments: tuple[str, ...]) -> None:
    small, full = (run(module, *arguments) for module in (SMALL, FULL))
    assert (small.returncode, small.stderr) == (0, "")
    assert small.stdout == full.stdout != ""


def test_a_command_that_needs_an_extra_names_it_in_one_line(tmp_path: Path) -> None:
    folders = ("--predictions", tmp_path, "--truth", tmp_path, "--num-classes", "2")
    result = run(SMALL, "score", "--task", "segmentation", *folders)
    assert result.returncode == 2
    assert result.stderr.startswith("error: this needs ")
    assert result.stderr.endswith("is not installed; run: pip install 'semflow[train]'\n")
    assert result.stderr.count("\n") == 1


def test_every_package_of_an_extra_is_known_to_the_command() -> None:
    for extra, modules in EXTRAS.items():
        wanted = {
            line.partition("[")[0].partition(">")[0].partition("=")[0].partition("<")[0]
            for line in PROJECT["optional-dependencies"][extra]
        }
        known = {module.replace("_", "-") for module in modules} - {"distributed"}
        assert known == wanted


@pytest.mark.heavy
def test_a_new_environment_with_nothing_but_the_small_set_segments(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    # A copy of what is tracked: setuptools builds in the tree that it is given.
    source = tmp_path / "source"
    for path in listed(["git", "ls-files", "semflow", "stages", "flows", *AT_ROOT]):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, source / path)
    pinned = ["-c", str(ROOT / "constraints.txt"), str(source)]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *pinned], check=True)
    out = tmp_path / "out"
    command = [python.with_name("semflow"), "segment", CHECKPOINT, EXAMPLES / "0-image.png"]
    subprocess.run([*command, "--out", out], check=True, cwd=tmp_path)
    run(FULL, "segment", CHECKPOINT, EXAMPLES / "0-image.png", "--out", tmp_path / "full")
    for name in ("0-image.png", "0-image.color.png"):
        assert (out / name).read_bytes() == (tmp_path / "full" / name).read_bytes()
