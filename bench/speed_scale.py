"""Figures of `bench.speed` at full scale: flat memory, linear time, and commands with no work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from bench.cases import Figure
from bench.timing import seconds
from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.metrics.distribution import distances
from semflow.params.recipes import round_trip, written
from tools.closure import ROOT

COCO_STUFF = 118_287
"""Images of its train split as published."""
DATASETS = ("earth", "cityscapes", "celebamask_hq", "coco_stuff")
FEATURES = 2048
"""Inception's, that FID and KID are defined by."""


def figures(folder: Path, samples: int = COCO_STUFF, features: int = 20_000) -> Iterator[Figure]:
    """All of them, one after another.

    Args:
        folder: Receives what they make.
        samples: Simulated; a tenth of them is what they are compared with.
        features: Images of each of two sets; half of them is what they are compared with.
    """
    yield distance_memory(features)
    yield from no_ops(folder / "project")
    yield from simulated(folder / "simulated", samples)


def distance_memory(count: int) -> Figure:
    """Memory of FID and KID beside their inputs, of all images against half of them."""
    few, many = (peak_of_distances(number) for number in (count // 2, count))
    name = f"memory of FID and KID beside their inputs: {count:,} images / {count // 2:,}"
    return Figure(name, 1.2, "times", many / few)


def peak_of_distances(count: int) -> float:
    """MB that the distances of two sets take at most, in a process of its own."""
    peak = float(_output([sys.executable, "-m", "bench.speed_scale", str(count)], ROOT, {}))
    # Pages of which other work has made use cannot be told apart.
    return max(peak, 1.0)


def _peak_here(count: int) -> float:
    """MB that both distances of two sets of random features take beside them, in this process."""
    draws = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, FEATURES, generator=draws) for _ in range(2))
    before = _status("VmRSS")
    # The peak is counted from here on: proc(5).
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    distances(x, y)
    return _status("VmHWM") - before


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def no_ops(folder: Path) -> Iterator[Figure]:
    """`dvc status` and `dvc repro` of a project in which nothing is to do.

    Args:
        folder: Receives the project: this one's code, with a small file or folder for every output.
    """
    make_finished_project(folder)
    for command in ("status", "repro"):
        # Twice: the first one fills DVC's own record of what it has looked at.
        _dvc(folder, command)
        said = _dvc(folder, command)
        assert "up to date" in said, said
        took = seconds(lambda command=command: _dvc(folder, command))  # type: ignore[misc]
        yield Figure(f"`dvc {command}` of four data sets, nothing to do", 5.0, "s", took)


def make_finished_project(folder: Path) -> None:
    """A copy of this project whose four data sets are done as far as DVC can tell."""
    tracked = _output(["git", "ls-files", "-z"], ROOT, {}).split("\0")
    code = ("semflow/", "stages/", "params.yaml", "dvc.yaml", "pretrained/")
    for name in (one for one in tracked if one.startswith(code)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    document = round_trip().load((folder / "params.yaml").read_text("utf-8"))
    document["datasets"] = list(DATASETS)
    (folder / "params.yaml").write_text(written(document), "utf-8")
    _dvc(folder, "init", "--no-scm", "--quiet")
    for path, is_folder in _paths(folder):
        place = folder / path
        if place.exists():
            continue
        file = place / "file" if is_folder else place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path, "utf-8")
    _dvc(folder, "commit", "--force", "--quiet")


def _paths(folder: Path) -> list[tuple[str, bool]]:
    """Dependencies and outputs of all stages, and whether each is a folder."""
    code = (
        "import json; from dvc.repo import Repo\n"
        "stages = Repo('.').index.stages\n"
        "print(json.dumps(sorted({one.def_path for s in stages for one in [*s.deps, *s.outs]"
        " if one.protocol == 'local' and one.def_path})))"
    )
    found = json.loads(_output([sys.executable, "-c", code], folder, {}))
    # What lies in another output, or has no ending, is a folder.
    return [(path, not Path(path).suffix) for path in found]


def simulated(folder: Path, samples: int) -> Iterator[Figure]:
    """Index, shards, pseudo-masks and latents of generated samples against a tenth of them.

    Args:
        folder: Receives what they make.
        samples: How many.
    """
    folder.mkdir(parents=True)
    few, many = (_simulated(folder / str(one), one) for one in (samples // 10, samples))
    what = f"{samples:,} simulated samples / {samples // 10:,}"
    stages = [name.removesuffix(" seconds") for name in many if name.endswith(" seconds")]
    for stage in stages:
        ratio = many[f"{stage} seconds"] / few[f"{stage} seconds"]
        yield Figure(f"time of {stage}: {what}", 12.0, "times", ratio)
    peaks = [name for name in many if name.endswith("peak") and few[name] > 0]
    worst = max(many[name] / few[name] for name in peaks)
    yield Figure(f"peak memory of any of these stages: {what}", 1.1, "times", worst)


def _simulated(folder: Path, samples: int) -> dict[str, float]:
    folder.mkdir()
    script = str(ROOT / "tests/support/scale.py")
    environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", WORKERS_VARIABLE: "2"}
    output = _output([sys.executable, script, str(folder), str(samples)], ROOT, environment)
    shutil.rmtree(folder)
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def _dvc(folder: Path, *arguments: str) -> str:
    return _output([sys.executable, "-m", "dvc", *arguments], folder, {"DVC_NO_ANALYTICS": "1"})


def _output(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    kept: dict[str, Any] = {k: v for k, v in os.environ.items() if k != SCHEDULER_VARIABLE}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    print(_peak_here(int(sys.argv[1])))
