from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny import ALONE

from semflow.core import progress
from semflow.evaluation.samplers import Sampler
from semflow.evaluation.samples import Chosen, EvaluatedSamples
from semflow.evaluation.shown import shown_batches
from semflow.pipeline import SemFlowPipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder


def test_an_evaluation_tells_how_far_it_is_within_a_batch_and_never_beyond_it(
    moving_pipeline: SemFlowPipeline,
    split: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(progress.SECONDS_VARIABLE, "0")
    chosen = Chosen(ShardFolder(read_manifest(split)), (0, 1, 2, 3, 4))
    samples = EvaluatedSamples(chosen, None, batch_size=3, team=ALONE)
    samplers = [Sampler("euler", 1), Sampler("euler", 2)]
    told = []
    for batch in shown_batches(moving_pipeline, samples, samplers):
        x_0 = torch.zeros_like(moving_pipeline.encode_image(batch.image))
        # The last one is more than was expected.
        for num_steps in (1, 2, 1):
            moving_pipeline.to_mask(x_0, num_steps, "euler")
            told.append(capsys.readouterr().err.splitlines()[-1])
    assert all(" of 15 evaluations in " in line for line in told)
    done = [int(line.split("%, ")[1].split()[0]) for line in told]
    assert done == [3, 9, 9, 11, 15, 15]
    assert not moving_pipeline.field._forward_pre_hooks
