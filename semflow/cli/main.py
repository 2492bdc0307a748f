"""The `semflow` command: its sub-commands, and the one line that a user's mistake is answered with.

Every sub-command imports what it runs when it runs, so that help and shell completion come at once
and without torch.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from semflow.cli import (
    card,
    cost,
    directions,
    doctor,
    importing,
    init,
    inspect,
    report,
    score,
    serve,
    use,
)
from semflow.cli.extras import extra_of
from semflow.core.errors import UserError
from semflow.core.terminal import printable

NAME = "semflow"

app = typer.Typer(
    name=NAME,
    # Plain text: help that a pipe or a log can take, and errors of one line.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_completion(context: typer.Context, shell: str | None) -> None:
    """Prints a shell's script and ends; the script asks this command for every word."""
    if shell is not None:
        from typer.completion import shell_complete

        variable = f"_{NAME.upper()}_COMPLETE"
        raise typer.Exit(shell_complete(context.command, {}, NAME, variable, f"source_{shell}"))


@app.callback()
def options(
    print_completion: Annotated[
        Literal["bash", "zsh"] | None,
        typer.Option(
            callback=_print_completion,
            is_eager=True,
            help="Print a shell's completion, for a file that it reads.",
        ),
    ] = None,
) -> None:
    """One flow that segments images and, run backward, synthesizes them from labels."""


app.command()(directions.segment)
app.command()(directions.synthesize)
app.command()(score.score)
app.command()(inspect.inspect)
app.command()(use.use)
app.command()(cost.cost)
app.command()(card.card)
app.command()(init.init)
app.command()(doctor.doctor)
app.command()(importing.import_unet)
app.command()(report.report)
app.command(name="app")(serve.serve)


def main() -> None:
    """Runs one sub-command; a user's mistake is one line on stderr and exit code 2.

    So is a package that is not there because its extra was not installed, and a path that the file
    system refuses.
    """
    try:
        code = app(prog_name=NAME, standalone_mode=False)
    except UserError as error:
        _refuse(str(error))
    except typer.TyperException as error:
        _refuse(_usage_mistake(error))
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{os.fsdecode(error.filename)[:200]}: {error.strerror}; name another or allow it")
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        _refuse(f"this needs {error.name}, which is not installed; {extra}")
    sys.exit(code or 0)


def _usage_mistake(error: typer.TyperException) -> str:
    """What the parser says, on one line, and whose help says more."""
    context = getattr(error, "ctx", None)
    said = " ".join(error.format_message().split()).rstrip(".")
    return f"{said[:1].lower()}{said[1:]} (see {context.command_path if context else NAME} --help)"


def _refuse(said: str) -> None:
    print(f"error: {printable(said)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
