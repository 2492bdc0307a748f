from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.mask_noise import measure, steps_per_second, with_mode
from semflow.evaluation.results import Metrics, write_metrics
from semflow.schema import read_params


def test_a_mode_is_set_and_only_the_default_steps_are_measured(project: Path) -> None:
    before = read_params().dataset("earth")
    text, batch_size = with_mode((project / "params.yaml").read_text("utf-8"), "earth", "moments")
    (project / "params.yaml").write_text(text, "utf-8")
    after = read_params().dataset("earth")
    assert batch_size == before.train.batch_size
    assert after.latents.mask_noise == "moments"
    assert after.evaluate.segmentation_steps == (before.inference.segment_steps,)
    assert after.evaluate.synthesis_steps == (before.inference.synthesize_steps,)
    assert not after.evaluate.adaptive
    assert after.train == before.train


def test_speed_is_over_the_whole_training_not_the_mean_of_its_lines() -> None:
    # 10 steps in 2 seconds and 20 in another 2.
    lines = [{"step": 10, "steps_per_second": 5.0}, {"step": 30, "steps_per_second": 10.0}]
    assert steps_per_second(lines) == pytest.approx(30 / 4)


def test_a_mode_is_trained_anew_evaluated_and_written_as_a_row(
    project: Path, metrics: Metrics
) -> None:
    asked: list[tuple[str, ...]] = []

    def repro(*arguments: str) -> None:
        asked.append(arguments)
        if arguments[-1] == "train@earth":
            assert read_params().dataset("earth").latents.mask_noise == "variants"
            (project / "logs" / "earth").mkdir(parents=True)
            line = json.dumps({"step": 50, "loss": 0.1, "steps_per_second": 2.0})
            (project / "logs" / "earth" / "train.jsonl").write_text(line + "\n", "utf-8")
        if arguments[-1] == "evaluate@earth":
            write_metrics(metrics, project / "reports" / "earth" / "metrics.json")

    speed = 2 * read_params().dataset("earth").train.batch_size
    assert measure("earth", "variants", repro) == (
        f"| variants | 0.438 | 0.312 | 21.5 | 0.203 | {speed} |"
    )
    assert asked == [("mask_latents@earth",), ("-f", "-s", "train@earth"), ("evaluate@earth",)]
