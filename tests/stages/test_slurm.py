"""The launchers' files, with a scheduler that is played by a script."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from support.stages_project import make_project

from tools.closure import ROOT

# Two nodes on one machine: the command runs twice at once, and fails if either does.
SRUN = '#!/bin/bash\n"$@" & first=$!\n"$@" & wait $! && wait $first\n'
SCONTROL = '#!/bin/bash\n[ "$*" = "show hostnames node[0-1]" ] && printf "localhost\\nother\\n"\n'
STAGE = """
import os, pathlib
e = os.environ
pathlib.Path(e["RANK"]).write_text(e["GROUP_RANK"] + " " + e["WORLD_SIZE"])
"""
GRAPH = """
stages:
  train:
    cmd: python -m stages.launch work
    outs: ["0", "1"]
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_slurm_puts_a_stage_on_both_nodes_by_its_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    for name, value in {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SLURM_JOB_NODELIST": "node[0-1]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "1",
        "SLURM_JOB_ID": "7",
        "MASTER_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    project = make_project(tmp_path / "project", STAGE)
    (project / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=project, check=True)
    script = str(ROOT / "launch" / "slurm.sh")
    done = subprocess.run(
        [script, "train"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ranks = sorted((project / rank).read_text("utf-8") for rank in ("0", "1"))
    assert ranks == ["0 2", "1 2"]


def test_the_configuration_of_sharding_is_one_that_accelerate_reads() -> None:
    config = load_config_from_file(str(ROOT / "launch" / "fsdp.yaml"))
    assert config.distributed_type == "FSDP"
    assert config.fsdp_config["fsdp_version"] == 2
