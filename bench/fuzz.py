"""The long row of hostile input: every target under atheris, and what came of it as a table.

    pip install -e '.[fuzz]'
    python -m bench.fuzz run --minutes 12    # docs/reliability-fuzz.json
    python -m bench.fuzz write               # the table in docs/reliability.md

Each target is a process of its own, with 2 GiB of data at most, in a folder that goes away. It ends
after its executions or its share of the time. What a reader raises beside its refusals is a
finding, counted once for each kind and place, and told on stderr with the bytes; a process that
ends early, by a signal or after 10 s in one execution, is one too. Each run begins with other
random bytes and adds its counts to those before it; a target whose last run found something begins
to count anew.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from bench.fuzz_targets import TARGETS, execute, seeds_of
from semflow.core.files import read_json, write_json, write_text

DOCUMENT, RESULTS = Path("docs/reliability.md"), Path("docs/reliability-fuzz.json")
START, END = "<!-- fuzz: written by bench/fuzz.py -->", "<!-- end of fuzz -->"
MEMORY = 2 * 2**30
"""Bytes of data."""
HANG = 10
"""Seconds."""
LONGEST = 4096
"""Bytes of an input that is made; seeds may be longer."""
STARTING = 1800
"""Seconds that a process may take before its first execution, on however busy a machine."""
NOTED_EVERY = 100
"""Executions."""


def main() -> None:
    """Runs the long row, one target of it, or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    running = actions.add_parser("run")
    running.add_argument("--minutes", type=float, default=12.0)
    running.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    one = actions.add_parser("one")
    one.add_argument("target", choices=TARGETS)
    one.add_argument("note", type=Path)
    one.add_argument("seconds", type=float)
    actions.add_parser("write")
    options = parser.parse_args()
    if options.action == "one":
        fuzz(options.target, options.note, options.seconds)
    elif options.action == "run":
        known = read_json(RESULTS) if RESULTS.is_file() else {}
        share = 60 * options.minutes / len(options.targets)
        for target in options.targets:
            new = in_a_process(target, share)
            print(target, new, flush=True)
            known[target] = together(known.get(target), new)
            write_json(RESULTS, known)
    else:
        write_text(DOCUMENT, with_table(DOCUMENT.read_text("utf-8"), read_json(RESULTS)))


def together(known: Mapping[str, float] | None, new: Mapping[str, float]) -> dict[str, float]:
    """What a target's runs come to: those before, unless they found something, and a new one."""
    if known is None or known["findings"]:
        return dict(new)
    return {name: round(known[name] + new[name], 1) for name in new}


def in_a_process(target: str, seconds: float) -> dict[str, float]:
    """Fuzzes a target for so long: executions, seconds and findings."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "note.json"
        command = [sys.executable, "-m", "bench.fuzz", "one", target, str(note), str(seconds)]
        try:
            code = subprocess.run(command, timeout=seconds + STARTING, check=False).returncode
        except subprocess.TimeoutExpired:
            code = -1
        noted: dict[str, float] = {"executions": 0, "seconds": 0.0, "findings": 0}
        if note.is_file():
            noted = read_json(note)
    noted["findings"] += code != 0
    return noted


def fuzz(target: str, note: Path, seconds: float) -> None:
    """Fuzzes a target in this process until its executions or seconds are over; never returns."""
    import atheris

    folder = note.parent / "target"
    folder.mkdir()
    corpus = note.parent / "corpus"
    corpus.mkdir()
    with atheris.instrument_imports(include=["semflow", "flows", "PIL", "ruamel"]):
        for number, seed in enumerate(seeds_of(target)):
            (corpus / str(number)).write_bytes(seed)
        # Also imports what the reader imports when it runs.
        found: set[str] = set()
        _once(target, b"", folder, found)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    started, count = time.monotonic(), 0

    def run(data: bytes) -> None:
        """One execution."""
        nonlocal count
        _once(target, data, folder, found)
        count += 1
        over = count >= TARGETS[target].executions or time.monotonic() - started > seconds
        if over or count % NOTED_EVERY == 0:
            taken = round(time.monotonic() - started, 1)
            kept = {"executions": count, "seconds": taken, "findings": len(found)}
            note.write_text(json.dumps(kept), encoding="utf-8")
        if over:
            # libFuzzer itself would go on, and an exception would be a finding of its own.
            sys.stderr.flush()
            os._exit(0)

    atheris.Setup(
        [sys.argv[0], f"-timeout={HANG}", f"-max_len={LONGEST}", "-rss_limit_mb=0", str(corpus)],
        run,
    )
    atheris.Fuzz()


def _once(target: str, data: bytes, folder: Path, found: set[str]) -> None:
    try:
        execute(target, data, folder)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        if kind not in found:
            found.add(kind)
            print(f"{target}: {kind}: {error!s:.200} by {data[:200]!r}", file=sys.stderr)


def with_table(text: str, results: Mapping[str, Mapping[str, float]]) -> str:
    """The document with a row for each target between its two markers."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    total = sum(int(one["executions"]) for one in results.values())
    lines = ["| target | executions | seconds | findings |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {one['executions']:,} | {one['seconds']:,.1f} | {one['findings']} |"
        for name, one in sorted(results.items())
    ]
    lines.append(f"| all | {total:,} | | |")
    return f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


if __name__ == "__main__":
    main()
