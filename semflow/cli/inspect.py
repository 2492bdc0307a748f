"""`semflow inspect`: what a shard folder, a checkpoint or a report's metrics hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Below data/, models/ or reports/.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Say what a result holds and what made it.

    Of shards, checkpoints and reports; the commit is looked up in the history of dvc.lock.

    \b
    Example:
      semflow inspect pretrained/robots
    """
    # Imported here: help and completion must not wait for numpy and the schemas.
    if as_json:
        import json

        from semflow.cli.facts import facts

        print(json.dumps(facts(path), indent=2))
        return
    from semflow.cli.contents import describe
    from semflow.cli.history import commit_lines
    from semflow.core.terminal import printable

    lines, tracked = describe(path)
    for line in [*lines, *commit_lines(tracked)]:
        print(printable(line))
