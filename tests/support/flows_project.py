"""A project of small stages, with the repository's own params.yaml, for flows to run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools.closure import ROOT

# The project's own stage beside the repository's launcher and entry.
PACKAGE = f"__path__.append({str(ROOT / 'stages')!r})\n"
# What a stage does follows from its data set's train.steps: 2 is the user's mistake,
# 3 is killed once, 4 finds another run at work once, any other works.
STAGE = """
import os, pathlib, signal, sys
from ruamel.yaml import YAML
from semflow.core.errors import Busy, UserError
from stages.entry import run_plain
name, dataset, out = sys.argv[1:]
scratch = pathlib.Path(os.environ["SEMFLOW_SCRATCH"])

def once(what):
    first = not (scratch / what).exists()
    (scratch / what).touch()
    return first

def work():
    steps = YAML(typ="safe").load(pathlib.Path("params.yaml"))[dataset]["train"]["steps"]
    with (scratch / "ran").open("a") as file:
        file.write(f"{name} ")
    if name == "train" and steps == 2:
        raise UserError("no such luck")
    if name == "train" and steps == 3 and once("killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "train" and steps == 4 and once("busy"):
        raise Busy("process 71 is at work in .scratch/train/earth/0; wait for it or stop it")
    folder = pathlib.Path(out)
    if name == "report":
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("<html>")
    elif name == "evaluate":
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text('{"segmentation": {"miou": 0.5}}')
    else:
        (folder / "unet").mkdir(parents=True)
        (folder / "unet" / "x.safetensors").write_text(f"{name} {steps}")

run_plain(work)
"""
GRAPH = """
stages:
  index:
    foreach: ${datasets}
    do:
      cmd: python -m stages.launch work index ${item} data/index/${item}
      deps: ["data/raw/${item}", stages/work.py]
      outs: ["data/index/${item}"]
  train:
    foreach: ${datasets}
    do:
      meta: {gpu: true}
      cmd: python -m stages.launch work train ${item} models/${item}/pipeline
      deps: ["data/index/${item}", stages/work.py]
      params: ["${item}.train"]
      outs: ["models/${item}/pipeline"]
  evaluate:
    foreach: ${datasets}
    do:
      cmd: python -m stages.launch work evaluate ${item} reports/${item}/metrics.json
      deps: ["models/${item}/pipeline", stages/work.py]
      metrics:
        - "reports/${item}/metrics.json":
            cache: false
  report:
    foreach: ${datasets}
    do:
      cmd: python -m stages.launch work report ${item} reports/${item}/index.html
      deps: ["reports/${item}/metrics.json", stages/work.py]
      outs: ["reports/${item}/index.html"]
artifacts:
  earth:
    path: models/earth/pipeline
"""
# What a commit of another machine holds: a checkpoint that no cache or remote has.
LOCKED_MD5 = "0123456789abcdef0123456789abcdef.dir"
LOCK = f"""
schema: '2.0'
stages:
  train@earth:
    cmd: python -m stages.launch work train earth models/earth/pipeline
    outs:
    - path: models/earth/pipeline
      hash: md5
      md5: {LOCKED_MD5}
      size: 7
      nfiles: 1
"""
CONFIG = "[core]\n    analytics = false\n    check_update = false\n"
IGNORED = "__pycache__/\n/data/\n/models/\n/logs/\n/.scratch/\n/reports/*/index.html\n"


def sh(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def state_of(root: Path) -> dict[str, str | bytes]:
    """The user's tree as a run must leave it: branch, commit, status, files and their bytes."""
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.relative_to(root).parts[0] not in (".git", ".scratch", "logs")
        and "cache" not in path.parts
        and "tmp" not in path.parts
    ]
    return {
        "branch": sh(root, "git", "symbolic-ref", "HEAD"),
        "commit": sh(root, "git", "rev-parse", "HEAD"),
        "status": sh(root, "git", "status", "--porcelain"),
        "worktrees": sh(root, "git", "worktree", "list"),
        **{str(path.relative_to(root)): path.read_bytes() for path in files},
    }
