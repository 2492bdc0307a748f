from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.tiny import ALONE, CHANNELS, tiny_pipeline
from torch import Tensor

from semflow.evaluation.diagnosis import TIMES, ChannelDeviations, DiagnosisMeasure
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.results import Diagnosis
from semflow.evaluation.samples import Batch, Chosen, EvaluatedSamples, Latents, encode_batch
from semflow.evaluation.segmentation import SegmentationCounts
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder

COUNT = 5


@pytest.fixture
def samples(split: Path) -> EvaluatedSamples:
    folder = ShardFolder(read_manifest(split))
    return EvaluatedSamples(Chosen(folder, tuple(range(COUNT))), None, batch_size=2, team=ALONE)


def of_all(samples: EvaluatedSamples) -> Batch:
    """All samples in one batch."""
    return next(replace(samples, batch_size=COUNT).batches())


def moved_by(field: Callable[[Tensor, Tensor], Tensor]) -> SemFlowPipeline:
    """A checkpoint whose velocity is a function of x (N, C, h, w) and t (N,)."""
    pipeline = tiny_pipeline()
    pipeline.field = field
    return pipeline


def diagnosed(
    pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams, **changes: object
) -> Diagnosis:
    settings = params.evaluate.model_copy(
        update={"segmentation_steps": (2, 25, 5), "synthesis_steps": (1,), **changes}
    )
    measure = DiagnosisMeasure(pipeline, settings, COUNT, ALONE)
    for batch in samples.batches():
        measure.update(batch, encode_batch(pipeline, batch, seed=7))
    return measure.compute()


def miou_of(pipeline: SemFlowPipeline, batch: Batch, x_1: Tensor) -> float | None:
    """Of mask latents, counted as every other segmenter is."""
    counts = SegmentationCounts(
        {"one": lambda _batch, _latents: pipeline.class_scores(x_1)}, 4, "nearest", ALONE
    )
    counts.update(batch, Latents(x_1, x_1))
    return counts.compute(None, Bootstrap(range(COUNT), 0))["one"].miou


def test_deviations_of_batches_are_those_of_all_latents_together() -> None:
    x = torch.randn(7, 3, 4, 2, generator=torch.Generator().manual_seed(0)) * 5 + 100
    x[:, 2] = 0.1
    deviations = ChannelDeviations(ALONE)
    for part in (x[:2], x[:0], x[2:6], x[6:]):
        deviations.update(part)
    found = deviations.compute()
    expected = x.double().transpose(0, 1).flatten(1).std(dim=1)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-12, atol=0)
    assert found[2] == 0  # no rounding is left of a constant


def test_the_exact_velocity_segments_alike_from_everywhere(
    samples: EvaluatedSamples, params: DatasetParams
) -> None:
    whole = of_all(samples)
    latents = encode_batch(tiny_pipeline(), whole, seed=7)
    pipeline = moved_by(lambda _x, _t: latents.x_1 - latents.x_0)
    found = diagnosed(pipeline, replace(samples, batch_size=COUNT), params)
    expected = miou_of(pipeline, whole, latents.x_1)
    assert [state.t for state in found.states] == list(TIMES)
    assert {state.miou_from_true for state in found.states} == {expected}
    assert {state.miou_from_own for state in found.states} == {expected}
    # It also leads back to the very images.
    for shares in found.surviving_shares.values():
        assert shares == pytest.approx([1.0] * CHANNELS, rel=1e-5)


def test_without_motion_the_true_state_comes_to_show_its_mask_and_the_own_one_never_does(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    whole = of_all(samples)
    latents = encode_batch(still_pipeline, whole, seed=7)
    found = diagnosed(still_pipeline, samples, params)
    assert (found.samples, found.segmentation_steps) == (COUNT, 25)
    start = miou_of(still_pipeline, whole, latents.x_0)
    assert {state.miou_from_own for state in found.states} == {start}
    for state in found.states:
        x_t = torch.lerp(latents.x_0, latents.x_1, state.t)
        assert state.miou_from_true == pytest.approx(miou_of(still_pipeline, whole, x_t))
    last = found.states[-1]
    assert last.miou_from_true is not None
    assert last.miou_from_own is not None
    assert last.miou_from_true > last.miou_from_own + 0.3


def test_shares_are_of_the_true_deviation_channel_by_channel(
    samples: EvaluatedSamples, params: DatasetParams
) -> None:
    """From a field x - m, one step back from x_1 ends in m, and two in x_1 / 4 + 3 m / 4."""
    mean = torch.arange(CHANNELS)[:, None, None] / CHANNELS
    pipeline = moved_by(lambda x, _t: x - mean)
    found = diagnosed(pipeline, samples, params, synthesis_steps=(1,))
    latents = encode_batch(pipeline, of_all(samples), seed=7)
    real, mask = (
        x.transpose(0, 1).flatten(1).double().std(dim=1) for x in (latents.x_0, latents.x_1)
    )
    assert found.image_deviations == pytest.approx(real.tolist())
    # The checkpoint's own two steps stand beside those asked for.
    assert list(found.surviving_shares) == [1, 2]
    assert found.surviving_shares[1] == pytest.approx([0.0] * CHANNELS, abs=1e-6)
    expected = (mask / real / 4).tolist()
    assert found.surviving_shares[2] == pytest.approx(expected, rel=1e-4)


def test_a_channel_that_is_constant_in_the_images_has_no_share(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    batch = of_all(samples)
    latents = encode_batch(still_pipeline, batch, seed=7)
    latents.x_0[:, 3] = 0.1
    measure = DiagnosisMeasure(still_pipeline, params.evaluate, COUNT, ALONE)
    measure.update(batch, latents)
    found = measure.compute()
    assert found.image_deviations[3] == 0
    for shares in found.surviving_shares.values():
        assert [channel for channel, share in enumerate(shares) if share is None] == [3]


def test_only_samples_spread_evenly_over_the_tested_ones_are_taken(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    some = diagnosed(moving_pipeline, samples, params, diagnosis_samples=2)
    assert some.samples == 2
    whole = of_all(samples)
    latents = encode_batch(moving_pipeline, whole, seed=7)
    ends = latents.x_0[[0, COUNT - 1]].transpose(0, 1).flatten(1)
    assert some.image_deviations == pytest.approx(ends.double().std(dim=1).tolist())
    assert diagnosed(moving_pipeline, samples, params, diagnosis_samples=99).samples == COUNT
