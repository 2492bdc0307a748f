from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from semflow.core import progress
from semflow.core.errors import UserError
from semflow.core.progress import SECONDS_VARIABLE, progress_bar, progress_over
from tools.closure import ROOT

STAGE = """
import sys, time
from semflow.core.progress import progress_bar
with progress_bar(8, "shards", "samples", 3) as bar:
    for _ in range(5):
        time.sleep(float(sys.argv[1]))
        bar.update()
"""


def on_a_terminal(command: list[str], columns: int) -> str:
    """What a command writes to a pseudo-terminal of that width, which is its stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, cwd=ROOT, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        # At the end Linux gives an error in place of no bytes.
        with suppress(OSError):
            while chunk := os.read(ours, 65536):
                written += chunk
        assert process.wait(timeout=60) == 0
    os.close(ours)
    return written.decode("utf-8")


def test_a_terminal_gets_one_line_that_is_rewritten_and_never_wider_than_it() -> None:
    for columns in (100, 40):
        shown = on_a_terminal([sys.executable, "-c", STAGE, "0.6"], columns)
        assert shown.endswith("\r\n")
        assert shown.count("\n") == 1
        states = [state for state in shown.rstrip().split("\r") if state]
        assert len(states) >= 5
        assert max(map(len, states)) <= columns
        assert all(state.startswith("shards:") for state in states)
        if columns == 100:
            assert re.search(r"3/8 \[00:00<", states[0])
            # What is done, the time taken and left, and the rate, which earlier work is no part of.
            assert re.search(r"100%\|.+\| 8/8 \[00:0\d<00:00, +[0-9.]+ samples/s\]", states[-1])


def test_a_log_gets_whole_lines_seldom_and_none_of_what_is_over_at_once() -> None:
    def logged(pause: str, **variables: str) -> str:
        command = [sys.executable, "-c", STAGE, pause]
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True
        )
        assert "\r" not in result.stderr
        return result.stderr

    assert logged("0") == ""
    pattern = r"shards: 100%, 8 of 8 samples in 00:02, +[0-9.]+ samples/s, 00:00 left\n"
    assert re.fullmatch(pattern, logged("0.42"))
    often = logged("0.42", **{SECONDS_VARIABLE: "0.8"}).splitlines()
    assert [line[:12] for line in often] == ["shards:  62%", "shards:  88%", "shards: 100%"]


def test_a_line_that_does_not_stay_leaves_no_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUICK", 0.0)
    assert list(progress_over("ab", 2, "check", "shards", stays=False)) == ["a", "b"]
    assert capsys.readouterr().err == ""
    assert list(progress_over("ab", 2, "check", "shards")) == ["a", "b"]
    assert capsys.readouterr().err.startswith("check: 100%, 2 of 2 shards in 00:00, ")


def test_of_several_ranks_the_first_one_tells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUICK", 0.0)
    for rank, lines in (("1", 0), ("0", 1)):
        monkeypatch.setenv("RANK", rank)
        with progress_bar(2, "train", "samples") as bar:
            bar.update(2)
        assert capsys.readouterr().err.count("\n") == lines


@pytest.mark.parametrize("text", ["often", "-1", "nan", "inf"])
def test_an_interval_that_is_no_number_of_seconds_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, text)
    with pytest.raises(UserError, match=f"SEMFLOW_PROGRESS_SECONDS is '{text}'; give"):
        progress_bar(2, "train", "samples")
