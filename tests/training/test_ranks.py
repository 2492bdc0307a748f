"""The stage `train` on two processes against one; that two may share parameters: test_fsdp."""

from __future__ import annotations

import sys

import pytest
from support.tiny import with_all_cures
from support.train_alone import assert_alike, replace_blocks, run_here, shorten, start, trained

from semflow.core.files import read_json
from semflow.schema import DatasetParams
from semflow.training.environment import MICRO_BATCH
from stages.entry import Folders

TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


@pytest.mark.parametrize("cured", [False, pytest.param(True, marks=pytest.mark.heavy)])
def test_two_processes_take_the_same_steps_as_one_up_to_rounding(
    ready: Folders, params: DatasetParams, monkeypatch: pytest.MonkeyPatch, cured: bool
) -> None:
    shorten(12)
    if cured:
        replace_blocks(with_all_cures(params), "flow", "noise")
    run_here("one")
    one, index = trained(), read_json(ready.pipeline / "model_index.json")
    assert (one[2]["world_size"], one[2]["micro_batch"]) == (1, 4)

    monkeypatch.setenv(MICRO_BATCH, "1")
    process = start("two", 3600, TWO)
    _, log = process.communicate()
    assert process.returncode == 0, log
    two = trained()
    assert (two[2]["world_size"], two[2]["micro_batch"]) == (2, 1)
    assert two[2]["distributed"] == "multi_cpu"
    assert_alike(one, two)
    assert read_json(ready.pipeline / "model_index.json") == index
