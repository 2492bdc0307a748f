from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny import tiny_pipeline

from bench import figures
from semflow.pipeline import SemFlowPipeline


@pytest.fixture
def pipeline() -> SemFlowPipeline:
    return tiny_pipeline(moving=True)


@pytest.fixture
def samples(pipeline: SemFlowPipeline) -> figures.Samples:
    height, width = pipeline.config.image_size
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (3, height, width, 3), np.uint8))
    labels = list(random.integers(0, pipeline.palette.num_classes, (3, height, width), np.uint8))
    return figures.Samples(images, labels)


def test_a_velocity_that_is_the_same_everywhere_is_straight(
    pipeline: SemFlowPipeline, samples: figures.Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.field, "forward", lambda x, _t: torch.ones_like(x))
    assert figures.straightness(pipeline, samples) < 1e-9


def test_straightness_is_the_variance_of_the_velocity_over_its_mean(
    pipeline: SemFlowPipeline, samples: figures.Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    # v = 2 t on 25 left ends: mean 24 / 25, and a variance of 4 (25^2 - 1) / (12 * 25^2).
    velocity = lambda x, t: torch.ones_like(x) * 2 * t[:, None, None, None]  # noqa: E731
    monkeypatch.setattr(pipeline.field, "forward", velocity)
    expected = 4 * (25**2 - 1) / (12 * 25**2) / (24 / 25) ** 2
    assert figures.straightness(pipeline, samples) == pytest.approx(expected, rel=1e-4)


def test_a_row_of_the_path_has_its_frames(
    pipeline: SemFlowPipeline, samples: figures.Samples
) -> None:
    rows = figures.paths(pipeline, samples)
    assert [len(row) for row in rows] == [figures.PATH_FRAMES] * 3


def test_rk45_takes_more_evaluations_for_less_tolerance(
    pipeline: SemFlowPipeline, samples: figures.Samples
) -> None:
    found = figures.solvers(pipeline, samples)
    assert found["euler-25"]["evaluations"] == 25
    evaluations = [
        found[f"dopri5, tolerance {tolerance:g}"]["evaluations"] for tolerance in figures.TOLERANCES
    ]
    assert evaluations == sorted(evaluations)
    assert evaluations[0] >= 7


def test_the_amplitude_of_a_picture_is_in_those_of_training(
    pipeline: SemFlowPipeline, samples: figures.Samples
) -> None:
    trained = pipeline.config.amplitude
    half = figures.synthesized(pipeline, samples, 1, 0, 0.5)
    direct = pipeline.synthesize(samples.labels, 1, seed=0, amplitude=trained / 2)
    assert all(
        np.array_equal(one, np.asarray(other)) for one, other in zip(half, direct, strict=True)
    )
