"""Both directions of a tiny checkpoint over random samples, on all processes of a launch.

Run as `python tests/support/evaluate_alone.py VAL OUT`: pixel shards of a val split, and where the
first process writes its figures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from semflow.core.files import write_json
from semflow.evaluation.ranks import Team
from semflow.evaluation.samples import choose_samples
from semflow.evaluation.segmentation import measure_segmentation
from semflow.evaluation.synthesis import Judges, measure_synthesis
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from support.tiny import tiny_params, tiny_pipeline


class Means(nn.Module):
    """Features: the mean of each channel's rows."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=3).flatten(1)


class Difference(nn.Module):
    """A distance."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


def main() -> None:
    """Measures with judges whose answers are simple."""
    torch.set_num_threads(1)
    team = Team(Accelerator(cpu=True))
    pipeline = tiny_pipeline(moving=True)
    changes = {
        "samples": 9,
        "reference": "own",
        "batch_size": 2,
        "segmentation_steps": (1, 2),
        "synthesis_steps": (1, 2),
        "diversity_labels": 5,
    }
    params = tiny_params().evaluate.model_copy(update=changes)
    with torch.no_grad():
        val = ShardFolder(read_manifest(Path(sys.argv[1])))
        chosen = choose_samples(val, params, team)
        judges = Judges(
            Means(), Difference(), lambda image: pipeline.score_batch(image, num_steps=1)
        )
        segmentation = measure_segmentation(pipeline, chosen.tested, params, background=0)
        synthesis = measure_synthesis(pipeline, judges, chosen, params, protocol=None)
    if team.is_first:
        figures = {
            "segmentation": segmentation.model_dump(mode="json"),
            "synthesis": synthesis.model_dump(mode="json"),
        }
        write_json(Path(sys.argv[2]), figures)


if __name__ == "__main__":
    main()
