"""What runs again after a change: of a parameter, by a real `dvc repro`; of code, by `dvc status`.

    python -m tools.check_reruns

Runs in a workspace that is up to date, as `make smoke` leaves it. It changes params.yaml and source
files there and brings each back before it goes on. The parameters' part fails if a stage ran that
should not, or the other way round; the code's part is a table in Markdown, to be read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from semflow.core.files import read_json
from semflow.params.recipes import round_trip, written
from stages.entry import Folders

DATASET = "earth"
PARAMS = Path("params.yaml")
TARGET = f"train@{DATASET}"


@dataclass(frozen=True)
class Change:
    """Another value of one parameter, and the stages up to training that must run for it."""

    block: str
    key: str
    value: Any
    runs: frozenset[str]


MASKS = frozenset({"mask_latents", "train"})
CHANGES = (
    Change("palette", "ignore_color", [32, 32, 32], MASKS | {"pseudo_masks"}),
    Change("noise", "amplitude", 30.0, MASKS),
    Change("noise", "cells", [1, 8], MASKS),
    Change("train", "learning_rate", 0.0015, frozenset({"train"})),
    Change("flow", "anchor_loss_weight", 2.5, frozenset({"train"})),
)


def main() -> int:
    """Prints both parts; 1 if a change of a parameter ran other stages than it should."""
    failures = sum(not check_change(change) for change in CHANGES)
    print()
    print(code_table(), flush=True)
    return int(failures > 0)


def check_change(change: Change) -> bool:
    """Prints what a change runs, and what bringing it back runs, which must be nothing."""
    with altered(PARAMS, _with_value(PARAMS.read_text("utf-8"), change)):
        ran = _stages_run()
    back = _stages_run()
    good = ran == change.runs and not back
    verdict = "as it should" if good else f"WRONG: expected {sorted(change.runs)}, then nothing"
    print(
        f"{change.block}.{change.key}: ran {sorted(ran)}; changed back: {sorted(back)}; {verdict}",
        flush=True,
    )
    return good


def code_table() -> str:
    """Package -> stages that depend on it -> all that follow them, as a Markdown table."""
    with Repo() as repo:
        graph = repo.index.graph
        # Those that fetch data sets which params.yaml does not list: changed in any case.
        unmade = set(repo.status())
    rows = ["| changed | stages that depend on it | stages after them |", "|---|---|---|"]
    for name, path in code_parts(Path()):
        with altered(path, path.read_text("utf-8") + "# changed\n"):
            direct = _stages_with_changed(name) - unmade
        after = _after(graph, direct)
        rows.append(f"| `{name}` | {_listed(direct)} | {_listed(after)} |")
    return "\n".join(rows)


def code_parts(root: Path) -> list[tuple[str, Path]]:
    """Each package of the library and each module outside of any, with one file of it.

    Args:
        root: Folder of `semflow/` and `stages/`.

    Returns:
        (name as in dvc.yaml, path of a file below the root), sorted by name.
    """
    library = root / "semflow"
    packages = [path for path in library.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    modules = [*library.glob("*.py"), root / "stages" / "entry.py"]
    found = [(path, min(path.glob("*.py"))) for path in packages]
    found += [(path, path) for path in modules if path.is_file()]
    return sorted((name.relative_to(root).as_posix(), file) for name, file in found)


@contextmanager
def altered(path: Path, text: str) -> Iterator[None]:
    """A file with another content for as long as the block runs, then as it was, its times too."""
    before, times = path.read_bytes(), path.stat()
    try:
        path.write_text(text, encoding="utf-8")
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _with_value(text: str, change: Change) -> str:
    document = round_trip().load(text)
    document[DATASET][change.block][change.key] = change.value
    return written(document)


def _stages_run() -> set[str]:
    """Stages that a `dvc repro` up to training has run: each notes its time when it ends."""
    runtime = Folders(DATASET).runtime
    runtime.unlink(missing_ok=True)
    done = subprocess.run(["dvc", "repro", TARGET], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    return set(read_json(runtime)) if runtime.exists() else set()


def _stages_with_changed(name: str) -> set[str]:
    """Addresses of the stages for which DVC finds a dependency changed."""
    with Repo() as repo:
        status = repo.status()
    return {
        address
        for address, reports in status.items()
        for report in reports
        if isinstance(report, dict) and name in report.get("changed deps", {})
    }


def _after(graph: Any, addresses: set[str]) -> set[str]:
    """Addresses of all other stages that read what these make, directly or through others."""
    waiting = [stage for stage in graph if stage.addressing in addresses]
    found: set[str] = set()
    while waiting:
        # Edges lead from a stage to what it depends on.
        for reader in graph.predecessors(waiting.pop()):
            if reader.addressing not in found:
                found.add(reader.addressing)
                waiting.append(reader)
    return found - addresses


def _listed(addresses: set[str]) -> str:
    names = {address.rpartition(":")[2].partition("@")[0] for address in addresses}
    return ", ".join(sorted(names)) or "none"


if __name__ == "__main__":
    sys.exit(main())
