"""A project with one stage, whose ranks end as its environment says."""

from __future__ import annotations

import os
from pathlib import Path

from tools.closure import ROOT

# WHAT says for each rank how it ends: "0:wait,1:mistake".
STAGE = """
import ctypes, os, pathlib, signal, time
from semflow.core.errors import Busy, UserError
from semflow.params.fields import StageParams
from stages.entry import run

def main(dataset, params, folders):
    rank = os.environ.get("RANK", "0")
    pathlib.Path(f"pid-{rank}").write_text(str(os.getpid()))
    what = dict(word.split(":") for word in os.environ["WHAT"].split(","))[rank]
    if what in ("wait", "stuck"):
        # In a library that lets no Python code run, as a rank that waits for its peers.
        (time if what == "wait" else ctypes.CDLL(None)).sleep(60)
    # Not before the other one has started.
    while os.environ.get("WORLD_SIZE") == "2" and len(list(pathlib.Path().glob("pid-*"))) < 2:
        time.sleep(0.05)
    if what == "mistake":
        raise UserError("no such luck")
    if what == "busy":
        raise Busy("process 71 is at work")
    if what == "crash":
        raise ZeroDivisionError("by zero")
    if what == "reset":
        raise RuntimeError("no shard") from ConnectionResetError(104, "reset")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        assert os.waitpid(child, 0)[1] == signal.SIGTERM
        time.sleep(0.5)

if __name__ == "__main__":
    run(main, StageParams)
"""


def make_project(root: Path, stage: str = STAGE) -> Path:
    """Writes it into a new folder."""
    (root / "stages").mkdir(parents=True)
    package = f"__path__.append({str(ROOT / 'stages')!r})\n"
    (root / "stages" / "__init__.py").write_text(package, encoding="utf-8")
    (root / "stages" / "work.py").write_text(stage, encoding="utf-8")
    (root / "params.yaml").write_text("datasets: [earth]\nearth: {}\n", encoding="utf-8")
    return root


def environment_for(what: str, **others: str) -> dict[str, str]:
    """That of a launch, without what the caller's own says of launches."""
    own = ("SEMFLOW_LAUNCH", "SEMFLOW_OUTCOME", "SEMFLOW_SCRATCH", "RANK", "WORLD_SIZE")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WHAT": what, **others}
