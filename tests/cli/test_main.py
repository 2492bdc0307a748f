from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.tiny import Command, Result
from typer.main import get_command

from semflow.cli.main import app
from tools.closure import ROOT

COMMANDS = (
    "segment",
    "synthesize",
    "score",
    "inspect",
    "use",
    "cost",
    "card",
    "init",
    "doctor",
    "import-unet",
    "report",
    "app",
)

SCORE_TWO_CLASSES = ("--task", "segmentation", "--num-classes", "2")


def alone(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    """Runs `semflow ARGUMENTS...` in a process of its own."""
    command = [sys.executable, "-m", "semflow.cli.main", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_its_options_and_an_example(
    semflow_command: Command, command: str
) -> None:
    result = semflow_command(command, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: semflow {command} ")
    assert "Example:\n" in result.out
    assert f"\n    semflow {command} " in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_a_commands_help_is_a_command_line_that_the_parser_takes(
    semflow_command: Command, command: str
) -> None:
    said = semflow_command(command, "--help").out.partition("Example:\n")[2]
    _, name, *arguments = shlex.split(said.partition("\n\n")[0])
    parser = get_command(app)
    # Only parsed: required arguments, options, choices and numbers.
    root = parser.make_context("semflow", [name, *arguments])
    _, found, rest = parser.resolve_command(root, [name, *arguments])
    assert found.make_context(name, rest, parent=root).params
    for path in re.findall(r"pretrained/\S+", said):
        assert (ROOT / path).exists()


def test_the_help_names_every_command(semflow_command: Command) -> None:
    result = semflow_command("--help")
    assert (result.code, result.err) == (0, "")
    listed = result.out.partition("Commands:\n")[2].splitlines()
    assert tuple(line.split()[0] for line in listed) == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "missing command (see semflow --help)"),
        (("segmnt",), "no such command 'segmnt'. Did you mean 'segment'? (see semflow --help)"),
        (("use", "smoke"), "missing argument 'DATASET' (see semflow use --help)"),
        (("segment", "p", "i"), "missing option '--out' (see semflow segment --help)"),
        (("segment", "p", "i", "--out"), "'--out' requires an argument"),
        (("inspect", "p", "--deep"), "no such option: --deep"),
        (("segment", "p", "i", "--out", "o", "--steps", "two"), "'--steps'"),
        (("score", "--task", "both", "--predictions", "p", "--truth", "t"), "'--task'"),
    ],
)
def test_a_mistyped_command_line_is_one_line_and_exit_code_2(
    semflow_command: Command, arguments: tuple[str, ...], complaint: str
) -> None:
    result = semflow_command(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert complaint in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "x" * 300),
        ("inspect", "x" * 300, "--json"),
        ("segment", "p", "x" * 300, "--out", "o"),
        ("segment", "x" * 300, "0.png", "--out", "o"),
        ("segment", "p", "0.png", "--out", "x" * 300),
        ("score", *SCORE_TWO_CLASSES, "--predictions", "x" * 300, "--truth", "."),
        ("report", "x" * 300, "y"),
        ("import-unet", "earth", "0.png", "--out", "x" * 300),
    ],
)
def test_a_path_that_the_file_system_refuses_is_one_line_and_exit_code_2(
    semflow_command: Command, workspace: Path, arguments: tuple[str, ...]
) -> None:
    (workspace / "0.png").touch()
    result = semflow_command(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "x" * 100 in result.err
    assert "File name too long; name another or allow it" in result.err
    assert len(result.err) < 400
    assert [path.name for path in workspace.iterdir()] == ["0.png"]


@pytest.mark.parametrize("number", [10**12, 10**30])
def test_a_number_beyond_any_use_is_refused_before_anything_is_made_of_it(
    semflow_command: Command, number: int
) -> None:
    for arguments in (
        ("segment", "p", "i", "--out", "o", "--steps"),
        ("synthesize", "p", "i", "--out", "o", "--samples"),
        ("cost", "earth", "--steps"),
    ):
        result = semflow_command(*arguments, number)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert "should be less than or equal to" in result.err


def test_an_error_cannot_steer_the_terminal(semflow_command: Command, workspace: Path) -> None:
    result = semflow_command("inspect", "x\x1b]0;owned\x07\nerror: more")
    assert result.code == 2
    assert result.err.startswith(r"error: x\x1b]0;owned\x07\nerror: more is neither")
    assert result.err.count("\n") == 1
    assert list(workspace.iterdir()) == []


def test_help_comes_within_half_a_second_and_without_torch() -> None:
    # Its own seconds: those of the clock are also other work's.
    before = os.times()
    assert alone("--help").code == 0
    after = os.times()
    used = after.children_user - before.children_user
    used += after.children_system - before.children_system
    assert used < 0.5
    script = (
        "import sys; from semflow.cli.main import app; app(['--help'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0


def test_a_shell_completes_commands_options_choices_and_recipes() -> None:
    def completions(line: str) -> list[str]:
        words = {"_SEMFLOW_COMPLETE": "complete_bash", "COMP_WORDS": line}
        count = {"COMP_CWORD": str(len(line.split(" ")) - 1)}
        done = subprocess.run(
            [sys.executable, "-m", "semflow.cli.main"],
            cwd=ROOT,
            env={**os.environ, **words, **count},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    assert completions("semflow s") == ["segment", "synthesize", "score"]
    assert completions("semflow segment p i --so") == ["--solver"]
    assert completions("semflow score --task seg") == ["segmentation"]
    assert completions("semflow use fa") == ["faithful"]


def test_the_completion_of_the_users_shell_is_shown_and_installed(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    for option in ("--show-completion", "--install-completion"):
        # The shell is told by the processes above; the second command keeps bash among them.
        script = f'"{sys.executable}" -m semflow.cli.main {option}; exit $?'
        done = subprocess.run(
            ["bash", "-c", script], env=home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        if option == "--show-completion":
            assert "_SEMFLOW_COMPLETE=complete_bash" in done.stdout
    installed = (tmp_path / ".bash_completions" / "semflow.sh").read_text("utf-8")
    assert "_SEMFLOW_COMPLETE=complete_bash" in installed


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shells_completion_is_printed_whichever_shell_asks(
    semflow_command: Command, shell: str
) -> None:
    result = semflow_command("--print-completion", shell)
    assert (result.code, result.err) == (0, "")
    assert f"_SEMFLOW_COMPLETE=complete_{shell}" in result.out
    program = shutil.which(shell)
    if program is not None:
        done = subprocess.run([program, "-n"], input=result.out, text=True, check=False)
        assert done.returncode == 0


def test_a_shell_without_completion_is_one_line(semflow_command: Command) -> None:
    result = semflow_command("--print-completion", "ksh")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "'ksh' is not one of" in result.err
