"""How fast the parts are beside the least that they have to do, and the tables that say so.

    python -m bench.speed             # measures, writes docs/performance.json and the table
    python -m bench.speed --table     # the tables alone, from what was measured

On a machine that does nothing else: both ways of a row are timed in turn, but other work still
widens the intervals. Each row has the median of the ratio and, in brackets, its bootstrap interval
of 95%. A second table has figures of full scale, each with the most that is good enough. Exits with
1 where a median is below its limit or a figure above.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from bench import figure
from bench.speed_cases import cases
from bench.speed_scale import figures
from bench.timing import compare
from semflow.core.files import read_json, write_json, write_text
from semflow.core.provenance import processor

RESULTS = Path("docs/performance.json")
PAGE = Path("docs/performance.md")
BEGIN = "<!-- speed: written by bench/speed.py -->"
END = "<!-- end of speed -->"
PAIRS = 15

Row = Mapping[str, Any]


def main() -> int:
    """Measures and writes; 1 where a median is below its limit or a figure above its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of each row")
    parser.add_argument("--table", action="store_true", help="write the table alone")
    options = parser.parse_args()
    if not options.table:
        write_json(RESULTS, measured(options.pairs))
    results = read_json(RESULTS)
    write_text(PAGE, with_table(PAGE.read_text("utf-8"), results))
    print(table(results))
    good = [*map(is_good, results["rows"].values()), *map(is_low, results["figures"].values())]
    return int(not all(good))


def measured(pairs: int) -> dict[str, Any]:
    """What every case gives, and on what.

    Args:
        pairs: Times that both ways of a case are timed.
    """
    rows, found = {}, {}
    with TemporaryDirectory() as folder:
        for case in cases(Path(folder)):
            ratio = compare(case.done, case.bare, case.pairs or pairs)
            rows[case.name] = {"limit": case.limit, **asdict(ratio)}
            print(f"{case.name}: {ratio.median:.3f}", file=sys.stderr, flush=True)
        for one in figures(Path(folder)):
            found[one.name] = {"limit": one.limit, "unit": one.unit, "value": one.value}
            print(f"{one.name}: {one.value:.3f} {one.unit}", file=sys.stderr, flush=True)
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "rows": rows,
        "figures": found,
    }


def is_good(row: Row) -> bool:
    """Whether a row's median reaches its limit; a row that was not measured does."""
    return row["median"] is None or bool(row["median"] >= row["limit"])


def is_low(row: Row) -> bool:
    """Whether a figure is within its limit; one that was not measured is."""
    return row["value"] is None or bool(row["value"] <= row["limit"])


def table(results: Mapping[str, Any]) -> str:
    """Rows and figures in Markdown, and below what they were measured on."""
    lines = ["| speed of / speed of | limit | ratio |", "|---|---|---|"]
    for name, row in results["rows"].items():
        ends = f"[{figure(row['low'], 2)}, {figure(row['high'], 2)}]"
        lines.append(
            f"| {name} | {row['limit']:g} | {figure(row['median'], 2)} <sub>{ends}</sub> |"
        )
    lines += ["", "| figure | at most | measured |", "|---|---|---|"]
    for name, row in results["figures"].items():
        lines.append(f"| {name} | {row['limit']:g} {row['unit']} | {figure(row['value'], 2)} |")
    said = "Not measured yet."
    if results["processor"] is not None:
        said = (
            f"{results['processor']}, {results['processors']} processors, "
            f"{results['threads']} threads."
        )
    return "\n".join([*lines, "", said])


def with_table(page: str, results: Mapping[str, Any]) -> str:
    """A page whose table is that of some results; the rest stays."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{END}{after}"


if __name__ == "__main__":
    sys.exit(main())
