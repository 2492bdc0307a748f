"""`semflow report`: several evaluations side by side on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Two or more: metrics.json, or folders that hold one."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page; replaced.")] = Path(
        "comparison.html"
    ),
) -> None:
    """Compare evaluations on one page.

    Curves by steps both ways, tables with intervals, and what keeps figures from being comparable.
    `dvc repro report` makes the page of a single run.

    \b
    Example:
      semflow report study/results/robots-semflow-0 study/results/robots-faithful
    """
    # Imported here: help and completion must not wait for matplotlib.
    from semflow.core.errors import UserError
    from semflow.core.files import write_text
    from semflow.report.comparison import find_metrics, metrics_file, render_comparison

    if len(runs) < 2:
        raise UserError(f"got {len(runs)} run; give two or more, dvc repro report shows one")
    if out.resolve() in {metrics_file(run).resolve() for run in runs}:
        raise UserError(f"{out} is one of the runs; name another file by --out")
    write_text(out, render_comparison(find_metrics(runs)))
    print(out)
