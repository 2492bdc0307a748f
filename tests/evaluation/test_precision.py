from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from support.evaluate_alone import RowMeans, simple_evaluation
from support.tiny import tiny_params, tiny_pipeline
from torch import Tensor

from semflow.core.files import write_json
from semflow.core.provenance import PROVENANCE
from semflow.evaluation.evaluate import evaluate
from semflow.evaluation.precision import precision_for, run_in
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Metrics, Precision
from semflow.pipeline import SemFlowPipeline

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def checkpoint_of(folder: Path, mixed_precision: str) -> Path:
    """A checkpoint's note alone."""
    note = {"parameters": {}, "inputs": {}, "code": {}, "versions": {}}
    write_json(folder / PROVENANCE, {**note, "hardware": {"mixed_precision": mixed_precision}})
    return folder


@pytest.mark.parametrize("trained", ["no", "bf16", "fp16"])
def test_accelerators_evaluate_in_the_precision_of_training_and_processors_in_float32(
    tmp_path: Path, trained: str
) -> None:
    folder = checkpoint_of(tmp_path, trained)
    assert precision_for(folder, GPU) == trained
    assert precision_for(folder, CPU) == "no"


def test_a_checkpoint_that_notes_nothing_or_another_precision_is_evaluated_in_float32(
    tmp_path: Path,
) -> None:
    assert precision_for(tmp_path, GPU) == "no"
    assert precision_for(checkpoint_of(tmp_path, "fp8"), GPU) == "no"


@torch.no_grad()
def both_ways(pipeline: SemFlowPipeline) -> tuple[Tensor, Tensor]:
    """Scores of three images, and images of three labels' latents, before they are rounded."""
    draws = torch.Generator().manual_seed(0)
    height, width = pipeline.config.image_size
    pixels = torch.randint(0, 256, (3, height, width, 3), generator=draws, dtype=torch.uint8)
    x_0 = pipeline.encode_image(pixels)
    x_1 = pipeline.to_mask(x_0, num_steps=2)
    return pipeline.class_scores(x_1), pipeline.decode(pipeline.to_image(x_0, num_steps=2))


def test_in_bf16_both_directions_answer_float32_within_a_hundredth_of_their_range() -> None:
    exact, rounded = tiny_pipeline(moving=True), tiny_pipeline(moving=True)
    run_in(rounded, "bf16")
    assert {weights.dtype for weights in rounded.unet.parameters()} == {torch.float32}
    for one, other in zip(both_ways(exact), both_ways(rounded), strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert float((one - other).abs().max()) < 0.02 * float(one.max() - one.min())


def test_in_float32_nothing_changes() -> None:
    exact, other = tiny_pipeline(moving=True), tiny_pipeline(moving=True)
    run_in(other, "no")
    pairs = zip(both_ways(exact), both_ways(other), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def measured(pixels: Path, folder: Path, precision: Precision) -> Metrics:
    """A pass over the split in a precision; what judges it sees that no autocast is on."""
    changes = {
        "samples": 8,
        "reference": "other",
        "batch_size": 4,
        "segmentation_steps": (1,),
        "synthesis_steps": (1,),
        "diversity_labels": 2,
        "diagnosis_samples": 2,
    }
    params = tiny_params().evaluate.model_copy(update=changes)
    pipeline = tiny_pipeline(moving=True)
    run_in(pipeline, precision)
    evaluation = simple_evaluation(pipeline, pixels, params, Team(Accelerator(cpu=True)))
    judged: list[bool] = []
    assert isinstance(evaluation.judges.features, RowMeans)
    evaluation.judges.features.register_forward_pre_hook(
        lambda *_: judged.append(torch.is_autocast_enabled("cpu"))
    )
    metrics = evaluate(evaluation, params, folder).metrics
    assert judged
    assert not any(judged)
    return metrics


def test_figures_in_bf16_are_near_those_in_float32_and_judged_in_float32(
    pixels: Path, tmp_path: Path
) -> None:
    exact, rounded = (measured(pixels, tmp_path, one) for one in ("no", "bf16"))
    mine, others = exact.two_way_segmentation(), rounded.two_way_segmentation()
    assert others.pixel_accuracy == pytest.approx(mine.pixel_accuracy, abs=0.02)
    assert others.oracle_miou == pytest.approx(mine.oracle_miou, abs=0.02)
    distance = exact.two_way_synthesis().by_steps[1].fd_mobilenetv2
    assert rounded.two_way_synthesis().by_steps[1].fd_mobilenetv2 == pytest.approx(
        distance, rel=0.02
    )
