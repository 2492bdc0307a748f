from __future__ import annotations

import numpy as np
import pytest
from support.tiny import tiny_pipeline

from bench import comparison
from bench.figures import SEED, Samples
from semflow.pipeline import SemFlowPipeline


@pytest.fixture
def pipeline() -> SemFlowPipeline:
    return tiny_pipeline(moving=True)


@pytest.fixture
def samples(pipeline: SemFlowPipeline) -> Samples:
    height, width = pipeline.config.image_size
    random = np.random.default_rng(0)
    images = list(random.integers(0, 256, (3, height, width, 3), np.uint8))
    labels = list(random.integers(0, pipeline.palette.num_classes, (3, height, width), np.uint8))
    return Samples(images, labels)


def test_a_segmentation_is_that_of_the_pipeline(
    pipeline: SemFlowPipeline, samples: Samples
) -> None:
    found = comparison.segmented(pipeline, samples, 3)
    assert np.array_equal(np.stack(found), np.stack(pipeline.segment(samples.images, 3)))


def test_a_synthesis_is_that_of_the_pipeline(pipeline: SemFlowPipeline, samples: Samples) -> None:
    found = comparison.drawn(pipeline, samples)
    direct = pipeline.synthesize(samples.labels, seed=SEED)
    assert np.array_equal(np.stack(found), np.stack([np.asarray(one) for one in direct]))


def test_miou_is_measured_at_every_number_of_steps_of_table_2(
    pipeline: SemFlowPipeline, samples: Samples
) -> None:
    answered = Samples(samples.images, pipeline.segment(samples.images, 200))
    found = comparison.by_steps(pipeline, answered)
    assert list(found) == ["1", "2", "5", "10", "25", "50", "100", "200"]
    assert found["200"] == 1.0


def test_a_system_that_draws_nothing_agrees_with_itself(
    pipeline: SemFlowPipeline, samples: Samples
) -> None:
    assert comparison.agreement(pipeline, samples) == 1.0


def test_agreement_is_the_mean_share_of_equal_pixels_over_pairs_of_seeds(
    pipeline: SemFlowPipeline, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of four pixels, seeds 0 and 1 share three, 0 and 2 two, 1 and 2 two.
    answers = {0: [0, 0, 0, 0], 1: [0, 0, 0, 1], 2: [1, 0, 0, 2]}
    monkeypatch.setattr(
        comparison,
        "segmented",
        lambda _system, _samples, _steps, seed: [np.array([answers[seed]], np.uint8)],
    )
    assert comparison.agreement(pipeline, samples) == pytest.approx((3 + 2 + 2) / 12)
