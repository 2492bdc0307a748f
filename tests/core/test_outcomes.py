from __future__ import annotations

import errno
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
import torch.distributed
from support.stages_project import environment_for

from semflow.core.errors import Busy, UserError
from semflow.core.outcomes import (
    Outcome,
    outcome_of,
    read_elastic,
    read_outcome,
    read_ranks,
    together,
    write_outcome,
)
from semflow.core.passing import is_passing


def ranks(*ended: tuple[str, float]) -> list[Outcome]:
    return [Outcome(state, f"{state} {when}", time=when) for state, when in ended]


@pytest.mark.parametrize(
    ("ended", "state", "said"),
    [
        # The first mistake, though it was the last to end.
        ([("failed", 1), ("running", 0), ("mistake", 9), ("mistake", 8)], "mistake", "mistake 8"),
        ([("failed", 1), ("running", 0), ("busy", 9)], "busy", "busy 9"),
        # A rank that vanished was killed: what a launcher ends notes that it was asked to.
        ([("failed", 1), ("running", 0), ("terminated", 2)], "killed", ""),
        # A crash and what the launcher did to the others, and a request and who broke of it.
        ([("terminated", 2), ("failed", 1)], "failed", "failed 1"),
        ([("terminated", 2), ("failed", 3), ("done", 1)], "terminated", "terminated 2"),
        ([("failed", 5), ("failed", 4)], "failed", "failed 4"),
    ],
)
def test_of_several_ends_the_one_counts_that_led_to_the_others(
    ended: list[tuple[str, float]], state: str, said: str
) -> None:
    for order in (ended, ended[::-1]):
        outcome = together(ranks(*order), code=1)
        assert (outcome.state, outcome.said) == (state, said)


def test_success_is_the_launchers_word() -> None:
    # A rank that an elastic launcher has replaced.
    assert together(ranks(("failed", 1), ("done", 2)), code=0).state == "done"


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (1, "failed"),
        (2, "mistake"),
        (127, "mistake"),
        (75, "busy"),
        (143, "terminated"),
        (-15, "terminated"),
        (137, "killed"),
        (-9, "killed"),
        (139, "killed"),
    ],
)
def test_where_no_rank_has_started_the_launchers_code_has_to_do(code: int, state: str) -> None:
    assert together([], code).state == state
    assert together(ranks(("done", 1)), code).state == state


def test_what_torchrun_notes_of_itself_counts_where_no_rank_has_started(tmp_path: Path) -> None:
    def noted(said: str) -> Outcome | None:
        text = json.dumps({"message": {"message": said, "extraInfo": {}}})
        (tmp_path / "torchelastic.json").write_text(text, encoding="utf-8")
        return read_elastic(tmp_path)

    assert read_elastic(tmp_path) is None
    away = noted("RendezvousTimeoutError: \nlate")
    assert away is not None
    assert away.passing
    assert together([], 1, away) == away
    assert together(ranks(("mistake", 1)), 1, away).state == "mistake"
    assert noted("ValueError: x") == Outcome("failed", "ValueError: x")
    assert noted("SignalException: got 15") == Outcome("terminated")
    (tmp_path / "torchelastic.json").write_text('{"message": "x"}', encoding="utf-8")
    assert read_elastic(tmp_path) is None


def test_a_launch_that_was_killed_itself_is_read_from_its_ranks(tmp_path: Path) -> None:
    assert read_outcome(tmp_path, 137) is None
    write_outcome(tmp_path / "launch.json", Outcome("running"))
    started = read_outcome(tmp_path, 137)
    assert started is not None
    assert started.state == "killed"
    write_outcome(tmp_path / "rank-1.json", Outcome("mistake", "no"))
    assert read_outcome(tmp_path, 137) == Outcome("mistake", "no")
    write_outcome(tmp_path / "launch.json", Outcome("failed", "x"))
    assert read_outcome(tmp_path, 137) == Outcome("failed", "x")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "done", "time": "x"}', "7"])
def test_a_cut_or_odd_note_is_as_good_as_a_rank_that_vanished(tmp_path: Path, text: str) -> None:
    (tmp_path / "rank-0.json").write_text(text, encoding="utf-8")
    assert read_ranks(tmp_path) == [Outcome("running")]


def test_a_folder_that_takes_no_files_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    write_outcome(tmp_path / "file" / "rank-0.json", Outcome("done"))


def raised(error: BaseException, cause: BaseException, hidden: bool = False) -> BaseException:
    error.__context__ = cause
    error.__suppress_context__ = hidden
    return error


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (ConnectionResetError("x"), True),
        (BrokenPipeError("x"), True),
        (TimeoutError("x"), True),
        (OSError(errno.EIO, "x"), True),
        (OSError(errno.ESTALE, "x"), True),
        (OSError(errno.EHOSTUNREACH, "x"), True),
        (OSError(errno.ENOSPC, "x"), False),
        (FileNotFoundError(errno.ENOENT, "x"), False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), True),
        (socket.gaierror(socket.EAI_NONAME, "x"), False),
        (torch.distributed.DistNetworkError("x"), True),
        (torch.distributed.DistStoreError("x"), True),
        (torch.distributed.DistBackendError("x"), False),
        (aiohttp.ServerDisconnectedError("x"), True),
        (raised(RuntimeError("x"), OSError(errno.EIO, "x")), True),
        (raised(UserError("x"), TimeoutError("x"), hidden=True), True),
        (ExceptionGroup("x", [ValueError("x"), ConnectionResetError("x")]), True),
        # What an error says is nobody's business.
        (RuntimeError("ConnectionResetError: [Errno 104] Read timed out"), False),
    ],
)
def test_what_passes_is_known_by_type_and_errno(error: BaseException, passing: bool) -> None:
    assert is_passing(error) == passing


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (UserError("mend it"), "mistake", "mend it"),
        (Busy("wait"), "busy", "wait"),
        (ValueError("one\ntwo"), "failed", "ValueError: one"),
        (ValueError(), "failed", "ValueError"),
        (aiohttp.ClientError("x"), "failed", "aiohttp.client_exceptions.ClientError: x"),
        (KeyboardInterrupt(), "terminated", ""),
        (SystemExit(143), "terminated", ""),
        (SystemExit(0), "done", ""),
        (SystemExit(None), "done", ""),
        (SystemExit("text"), "failed", "exit code 1; its output says why"),
    ],
)
def test_an_exception_is_noted_by_its_type_and_first_line(
    error: BaseException, state: str, said: str
) -> None:
    outcome = outcome_of(error)
    assert (outcome.state, outcome.said) == (state, said)


@pytest.mark.parametrize(
    ("what", "code", "state", "passing"),
    [
        ("ok", 0, "done", False),
        ("mistake", 2, "mistake", False),
        ("busy", 75, "busy", False),
        ("reset", 1, "failed", True),
        ("kill", -9, "running", False),
        # A forked worker that its parent ends does not end the parent.
        ("fork", 0, "done", False),
    ],
)
def test_a_rank_notes_how_it_ends(
    project: Path, what: str, code: int, state: str, passing: bool
) -> None:
    environment = environment_for(f"3:{what}", SEMFLOW_OUTCOME="out", RANK="3")
    command = [sys.executable, "-m", "stages.work", "earth"]
    done = subprocess.run(command, cwd=project, env=environment, check=False, capture_output=True)
    assert done.returncode == code, done.stderr
    noted = json.loads((project / "out" / "rank-3.json").read_text("utf-8"))
    assert (noted["state"], noted["passing"]) == (state, passing)
    assert [path.name for path in (project / "out").iterdir()] == ["rank-3.json"]


@pytest.mark.parametrize("what", ["wait", "stuck"])
def test_a_rank_that_is_asked_to_end_says_so_wherever_it_waits(project: Path, what: str) -> None:
    environment = environment_for(f"0:{what}", SEMFLOW_OUTCOME="out")
    command = [sys.executable, "-m", "stages.work", "earth"]
    with subprocess.Popen(command, cwd=project, env=environment) as process:
        while not (project / "pid-0").is_file():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert [rank.state for rank in read_ranks(project / "out")] == ["terminated"]


def test_without_the_variable_nothing_is_written_and_sigterm_is_the_stages_own(
    project: Path,
) -> None:
    command = [sys.executable, "-m", "stages.work", "earth"]
    with subprocess.Popen(command, cwd=project, env=environment_for("0:wait")) as process:
        while not (project / "pid-0").is_file():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml", "pid-0", "stages"]
