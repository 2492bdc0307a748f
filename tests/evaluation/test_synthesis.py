from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support.evaluate_alone import Difference, RowMeans, simple_judges
from support.tiny import ALONE
from torch import Tensor, nn

from semflow.evaluation.diversity import Diversity, synthesize
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.samples import Batch, Chosen, EvaluatedSamples, encode_batch
from semflow.evaluation.synthesis import RealFeatures, Syntheses, SynthesisMeasure
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder


@pytest.fixture
def samples(split: Path) -> EvaluatedSamples:
    folder = ShardFolder(read_manifest(split))
    tested, reference = Chosen(folder, (0, 2, 4, 6, 8)), Chosen(folder, (1, 3, 5, 7))
    return EvaluatedSamples(tested, reference, batch_size=2, team=ALONE)


EACH = Bootstrap(range(5), seed=0)
"""Every sample is its own group."""


def rows(images: Tensor) -> Tensor:
    return RowMeans()(images.permute(0, 3, 1, 2))


def of_all(samples: EvaluatedSamples) -> Batch:
    """All samples in one batch."""
    return next(replace(samples, batch_size=len(samples)).batches())


def test_other_images_are_the_reference_and_the_floor_lies_between_both_sets(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples
) -> None:
    real = RealFeatures(simple_judges(still_pipeline), ALONE)
    for batch in samples.batches():
        real.update(batch)
    for images in samples.reference_images():
        real.update_reference(images)
    found = real.compute()
    torch.testing.assert_close(found.floor[0], rows(of_all(samples).image))
    others = torch.cat(list(samples.reference_images()))
    torch.testing.assert_close(found.floor[1], rows(others))
    assert torch.equal(found.reference, found.floor[1])


def test_own_images_are_the_reference_and_the_floor_lies_between_their_halves(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples
) -> None:
    samples = replace(samples, reference=None)
    real = RealFeatures(simple_judges(still_pipeline), ALONE)
    for batch in samples.batches():
        real.update(batch)
    found = real.compute()
    torch.testing.assert_close(found.reference, rows(of_all(samples).image))
    assert torch.equal(found.floor[0], found.reference[[0, 2, 4]])
    assert torch.equal(found.floor[1], found.reference[[1, 3]])


def test_syntheses_that_are_the_reference_are_at_no_distance(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples
) -> None:
    syntheses = Syntheses(still_pipeline, simple_judges(still_pipeline), ALONE, seed=0)
    for batch in samples.batches():
        syntheses.update(batch, batch.image, torch.zeros(len(batch.items)))
    figures = syntheses.compute(rows(of_all(samples).image), EACH)
    assert figures.fd_mobilenetv2 == pytest.approx(0, abs=1e-6)
    assert figures.kd_mobilenetv2 < 0  # unbiased: a set is nearer to itself than to its like
    assert figures.st_lpips_to_truth == 0
    assert figures.roundtrip_miou_unet == figures.roundtrip_miou_semflow


def test_a_round_trip_is_the_mean_over_classes_of_the_segmented_syntheses(
    still_pipeline: SemFlowPipeline, samples: EvaluatedSamples
) -> None:
    """A still flow and a lossless autoencoder: a label's own colours are segmented back to it."""
    judges = simple_judges(still_pipeline)
    wrong = replace(judges, unet=lambda x_0: -still_pipeline.class_scores(x_0))
    syntheses = Syntheses(still_pipeline, wrong, ALONE, seed=0)
    for batch in samples.batches():
        colors = torch.from_numpy(still_pipeline.palette.colorize(batch.label.numpy()))
        syntheses.update(batch, colors, torch.ones(len(batch.items)))
    figures = syntheses.compute(rows(of_all(samples).image), EACH)
    assert figures.roundtrip_miou_semflow == 1
    assert figures.roundtrip_miou_unet == 0
    assert figures.st_lpips_to_truth == 1


def test_diversity_is_the_mean_over_neighbouring_samples_of_the_chosen_labels(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"diversity_labels": 3, "diversity_samples": 3})
    judges = simple_judges(moving_pipeline)
    diversity = Diversity(moving_pipeline, judges, settings, len(samples), ALONE)
    for batch in samples.batches():
        diversity.update(batch)
    # Three of five labels, both ends included; the perturbation follows from the place among them.
    label = of_all(samples).label[[0, 2, 4]]
    made = [synthesize(moving_pipeline, label, range(3), seed).float() for seed in range(3)]
    expected = sum((made[k] - made[k + 1]).abs().mean() / 127.5 for k in range(2)) / 2
    found, interval = diversity.compute(EACH)
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert interval is not None
    assert 0 < interval[0] < found < interval[1]
    # Of batches of two, one has two of the chosen labels' images if any.
    images = of_all(samples).image.float() / 127.5
    chosen, size = [0, 2, 4], len(next(iter(samples.batches())).items)
    pairs = [(a, b) for a, b in pairwise(chosen) if a // size == b // size]
    distances = [float((images[a] - images[b]).abs().mean()) for a, b in pairs]
    real = sum(distances) / len(distances) if distances else None
    assert diversity.between_images() == (None if real is None else pytest.approx(real, rel=1e-5))
    # Of one group nothing can be said.
    assert diversity.compute(Bootstrap(["one"] * 5, seed=0)) == (found, None)


def test_every_number_of_steps_starts_from_the_same_latents(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"synthesis_steps": (3, 1)})
    judges = simple_judges(moving_pipeline)
    perfect = {"perfect": lambda batch: batch.image}
    measure = SynthesisMeasure(moving_pipeline, judges, settings, len(samples), ALONE, perfect)
    whole = of_all(samples)
    for images in samples.reference_images():
        measure.update_reference(images)
    made = measure.update(whole, encode_batch(moving_pipeline, whole, seed=4))
    names = ["euler-1", "euler-2", "euler-3"]  # those asked for, and the checkpoint's own
    assert list(made) == [*names, "perfect"]
    assert torch.equal(made["euler-2"], synthesize(moving_pipeline, whole.label, range(5), seed=4))
    synthesized = measure.compute(EACH)
    found, others = synthesized.flow, synthesized.others
    # A system that shows the true images is at no distance from them.
    assert others["perfect"].st_lpips_to_truth == 0
    assert (found.samples, found.reference_samples, found.floor_samples) == (5, 4, (5, 4))
    difference = (made["euler-3"].float() - whole.image.float()).abs().mean() / 127.5
    assert found.by_steps[3].st_lpips_to_truth == pytest.approx(float(difference), rel=1e-5)
    assert found.roundtrip_miou == found.by_steps[2].roundtrip_miou_unet


def test_the_adaptive_solver_is_measured_beside_the_steps_with_what_it_costs(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"synthesis_steps": (3,), "adaptive": True})
    judges = simple_judges(moving_pipeline)
    measure = SynthesisMeasure(moving_pipeline, judges, settings, len(samples), ALONE, {})
    asked = 0

    def count(_field: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal asked
        asked += len(inputs[0])

    solved, starts = [], []
    for batch in samples.batches():
        latents = encode_batch(moving_pipeline, batch, seed=0)
        solved.append(measure.update(batch, latents)["dopri5"])
        starts.append(latents.x_1)
    for images in samples.reference_images():
        measure.update_reference(images)
    found = measure.compute(EACH)
    assert list(found.by_sampler) == ["euler-2", "euler-3", "dopri5"]
    assert list(found.flow.by_steps) == [2, 3]
    costs = {key: (one.evaluations, one.tolerance) for key, one in found.by_sampler.items()}
    assert costs["euler-2"] == (2, None)
    assert costs["euler-3"] == (3, None)
    watch = moving_pipeline.field.register_forward_pre_hook(count)
    x_0 = moving_pipeline.to_image(torch.cat(starts), solver="dopri5")
    watch.remove()
    assert costs["dopri5"] == (asked / len(samples), moving_pipeline.config.tolerance)
    assert asked > 3 * len(samples)
    # Which batches the samples lay in is nothing to their syntheses, but for rounding in decoding.
    difference = moving_pipeline.decode_pixels(x_0).int() - torch.cat(solved).int()
    assert int(difference.abs().max()) <= 1


def test_a_perceptual_distance_is_asked_for_the_features_of_each_image_once(
    moving_pipeline: SemFlowPipeline, samples: EvaluatedSamples, params: DatasetParams
) -> None:
    class Counting(Difference):
        passed = 0

        def features(self, images: Tensor) -> list[Tensor]:
            Counting.passed += len(images)
            return super().features(images)

    settings = params.evaluate.model_copy(update={"synthesis_steps": (1, 3), "diversity_labels": 1})
    judges = replace(simple_judges(moving_pipeline), perceptual=Counting())
    measure = SynthesisMeasure(moving_pipeline, judges, settings, len(samples), ALONE, {})
    for batch in samples.batches():
        measure.update(batch, encode_batch(moving_pipeline, batch, seed=0))
    # Each label's own image and three syntheses, and one label twice more for diversity; between
    # real images of one label there is nothing to measure.
    assert Counting.passed == len(samples) * (1 + 3) + settings.diversity_samples
