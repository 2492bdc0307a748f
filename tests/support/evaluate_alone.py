"""Both directions of a tiny checkpoint over random samples, on all processes of a launch.

Run as `python tests/support/evaluate_alone.py PIXELS OUT`: pixel shards, a folder for each split,
and where the first process writes its figures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from semflow.core.files import write_json
from semflow.evaluation.evaluate import evaluate
from semflow.evaluation.judges import Judges
from semflow.evaluation.measures import Evaluation
from semflow.evaluation.ranks import Team
from semflow.evaluation.samples import choose_samples
from semflow.evaluation.schema import EvaluateParams
from semflow.pipeline import SemFlowPipeline
from support.tiny import tiny_params, tiny_pipeline


class RowMeans(nn.Module):
    """Features that can be worked out by hand: the mean of each channel's rows."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=3).flatten(1)


class Difference:
    """A perceptual distance that can be, too: the mean absolute difference."""

    def features(self, images: Tensor) -> list[Tensor]:
        return [images]

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return (a[0] - b[0]).abs().mean(dim=(1, 2, 3))


def simple_judges(pipeline: SemFlowPipeline) -> Judges:
    """Judges whose answers are simple; the independent segmenter is the oracle's reading."""
    return Judges(RowMeans(), Difference(), pipeline.class_scores)


def simple_evaluation(
    pipeline: SemFlowPipeline, pixels: Path, params: EvaluateParams, team: Team
) -> Evaluation:
    """A checkpoint over a split; its one baseline reads image latents as if they were a mask's."""
    samples = choose_samples(pixels, params, team)
    baselines = {"blind": lambda _batch, latents: pipeline.class_scores(latents.x_0)}
    synthesizers = {"painter": lambda batch: 255 - batch.image}
    return Evaluation(
        pipeline,
        samples,
        simple_judges(pipeline),
        baselines,
        {"blind": 2.5},
        synthesizers,
        background=0,
    )


def main() -> None:
    """Measures all that needs no released weights."""
    torch.set_num_threads(1)
    changes = {
        "samples": 9,
        "reference": "other",
        "batch_size": 2,
        "segmentation_steps": (1, 2),
        "synthesis_steps": (1, 3),
        "diversity_labels": 5,
        # Samples 0, 4 and 8 of nine: batches 1 and 3 have none of them.
        "diagnosis_samples": 3,
    }
    params = tiny_params().evaluate.model_copy(update=changes)
    team = Team(Accelerator(cpu=True))
    evaluation = simple_evaluation(tiny_pipeline(moving=True), Path(sys.argv[1]), params, team)
    found = evaluate(evaluation, params, Path(sys.argv[2]).parent)
    if team.is_first:
        parts = {"metrics": found.metrics, "details": found.details}
        values = {name: part.model_dump(mode="json") for name, part in parts.items()}
        write_json(Path(sys.argv[2]), values)


if __name__ == "__main__":
    main()
