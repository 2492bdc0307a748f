"""With real processes and real launchers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from support.stages_project import environment_for, make_project

from tools.closure import ROOT

TORCHRUN = "torchrun --standalone --nproc_per_node 2 --no-python"
LAUNCH = [sys.executable, "-m", "stages.launch", "work", "earth"]


def launched(project: Path, what: str, **others: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        LAUNCH,
        cwd=project,
        env=environment_for(what, **others),
        check=False,
        capture_output=True,
        text=True,
    )


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def alive(project: Path, rank: int) -> bool:
    try:
        process = psutil.Process(int((project / f"pid-{rank}").read_text()))
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "prefix",
    ["  ", "env A=1 nice -n 1", "env 'A=two words' '{space}/a launcher'"],
)
def test_a_prefix_is_split_as_a_shell_would_and_an_empty_one_is_none(
    project: Path, prefix: str
) -> None:
    launcher = project / "with space" / "a launcher"
    launcher.parent.mkdir()
    launcher.write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    prefix = prefix.replace("{space}", str(launcher.parent))
    done = launched(project, "0:ok", SEMFLOW_LAUNCH=prefix)
    assert (done.returncode, done.stderr) == (0, "")
    assert (project / "pid-0").is_file()


@pytest.mark.parametrize("prefix", ["", "nice"])
@pytest.mark.parametrize(("what", "code"), [("mistake", 2), ("crash", 1), ("kill", 137)])
def test_the_exit_code_is_the_stages_behind_a_launcher_or_not(
    project: Path, prefix: str, what: str, code: int
) -> None:
    done = launched(project, f"0:{what}", SEMFLOW_LAUNCH=prefix)
    # Without a launcher the stage has taken the place of the process, and has its signal.
    assert done.returncode == (-9 if what == "kill" and not prefix else code)
    if what == "mistake":
        assert done.stderr == "error: no such luck\n"
    # Nothing is left of what the ranks have noted for the launch.
    assert not list((project / ".scratch").glob("*"))


def test_a_launcher_that_hides_the_code_of_its_rank_does_not_hide_its_outcome(
    project: Path,
) -> None:
    done = launched(project, "0:busy", SEMFLOW_LAUNCH="sh -c '\"$@\" || exit 1' sh")
    assert done.returncode == 75


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("nice 'n", "error: SEMFLOW_LAUNCH=nice 'n is no command line (No closing quotation); "),
        ("nonesuch -n", "error: SEMFLOW_LAUNCH: nonesuch cannot be started ("),
    ],
)
def test_a_prefix_that_is_no_command_is_told_in_one_line(
    project: Path, prefix: str, said: str
) -> None:
    done = launched(project, "0:ok", SEMFLOW_LAUNCH=prefix)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert not (project / "pid-0").exists()


def test_a_launch_ends_what_it_has_started_when_its_own_parent_is_killed(project: Path) -> None:
    parent = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"
    command = [sys.executable, "-c", parent, *LAUNCH]
    environment = environment_for("0:wait", SEMFLOW_LAUNCH="nice")
    with subprocess.Popen(command, cwd=project, env=environment) as process:
        assert until(lambda: (project / "pid-0").is_file())
        process.kill()
    assert until(lambda: not alive(project, 0), 10)


@dataclass(frozen=True)
class Ended:
    code: int
    output: str
    launch: str
    left: bool


@pytest.fixture(scope="module")
def under_torchrun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Four launches of two ranks, all at once, since starting torchrun takes seconds."""
    cases = {
        "mistake": "0:wait,1:mistake",
        "killed": "0:stuck,1:kill",
        "crash": "0:stuck,1:crash",
        "terminated": "0:wait,1:stuck",
    }
    started = {}
    for name, what in cases.items():
        project = make_project(tmp_path_factory.mktemp(name) / "project")
        out = str(project / "out")
        environment = environment_for(what, SEMFLOW_LAUNCH=TORCHRUN, SEMFLOW_OUTCOME=out)
        with (project / "output").open("w") as output:
            process = subprocess.Popen(
                LAUNCH, cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        started[name] = (project, process)
    project, process = started["terminated"]
    assert until(lambda: len(list(project.glob("pid-*"))) == 2)
    process.send_signal(signal.SIGTERM)
    return {
        name: Ended(
            process.wait(120),
            (project / "output").read_text("utf-8"),
            (project / "out" / "launch.json").read_text("utf-8"),
            any(alive(project, rank) for rank in (0, 1)),
        )
        for name, (project, process) in started.items()
    }


@pytest.mark.parametrize(
    ("name", "code"), [("mistake", 2), ("killed", 137), ("crash", 1), ("terminated", 143)]
)
def test_torchruns_own_code_gives_way_to_what_has_ended_its_ranks(
    under_torchrun: dict[str, Ended], name: str, code: int
) -> None:
    ended = under_torchrun[name]
    assert ended.code == code, ended.output
    assert not ended.left


def test_a_ranks_line_comes_last_and_its_failure_is_noted(
    under_torchrun: dict[str, Ended],
) -> None:
    assert under_torchrun["mistake"].output.endswith("\nerror: no such luck\n")
    assert '"said": "ZeroDivisionError: by zero"' in under_torchrun["crash"].launch


def test_the_launcher_starts_at_once_and_without_torch() -> None:
    script = "import stages.launch, sys; print({'torch', 'pydantic'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
