from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.tiny import ALONE, TinyDataset

from semflow.core.errors import UserError
from semflow.evaluation.samples import Chosen, EvaluatedSamples, choose_samples, encode_batch
from semflow.evaluation.schema import LEAST_SAMPLES, EvaluateParams, check_enough_samples
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels


def test_with_own_references_an_even_number_of_samples_is_tested(
    pixels: Path, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "own", "samples": 9})
    chosen = choose_samples(pixels, settings, ALONE)
    assert chosen.tested.positions == (0, 1, 2, 3, 5, 6, 7, 9)
    assert chosen.reference is None
    assert list(chosen.reference_images()) == []


@pytest.mark.parametrize(("split", "other"), [("test", "val"), ("val", "test")])
def test_other_references_are_of_the_other_held_out_split(
    pixels: Path, params: DatasetParams, split: str, other: str
) -> None:
    settings = params.evaluate.model_copy(
        update={"split": split, "reference": "other", "samples": 3, "batch_size": 2}
    )
    chosen = choose_samples(pixels, settings, ALONE)
    assert chosen.reference is not None
    assert chosen.tested.folder.folder == pixels / split
    assert chosen.reference.folder.folder == pixels / other
    places = {"test": (0, 4, 9), "val": (0, 3, 6)}
    assert chosen.tested.positions == places[split]
    assert chosen.reference.positions == places[other]
    images = torch.cat(list(chosen.reference_images()))
    expected = [
        png_pixels(chosen.reference.folder.read(place, "image.png")) for place in places[other]
    ]
    assert np.array_equal(images, np.stack(expected))


def test_all_of_both_splits_are_used_where_they_have_fewer_samples_than_asked_for(
    pixels: Path, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "other", "samples": 99})
    chosen = choose_samples(pixels, settings, ALONE)
    assert chosen.reference is not None
    assert (len(chosen.tested), len(chosen.reference)) == (10, 7)


def test_batches_hold_every_sample_once_with_its_own_native_label(dataset: TinyDataset) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    samples = EvaluatedSamples(Chosen(folder, (2, 0, 1)), None, batch_size=2, team=ALONE)
    batches = list(samples.batches())
    assert [len(batch.label) for batch in batches] == [2, 1]
    assert [samples.key(item) for item in range(3)] == ["val_2", "val_0", "val_1"]
    assert [batch.items for batch in batches] == [range(2), range(2, 3)]
    native = [label for batch in batches for label in batch.native_labels]
    for position, label in zip((2, 0, 1), native, strict=True):
        assert np.array_equal(label, png_pixels(folder.read(position, "native_label.png")))
        assert label.shape != batches[0].label.shape[1:]
    images = torch.cat([batch.image for batch in batches])
    expected = [png_pixels(folder.read(position, "image.png")) for position in (2, 0, 1)]
    assert np.array_equal(images, np.stack(expected))


def test_a_sample_s_latents_do_not_depend_on_its_batch(
    dataset: TinyDataset, moving_pipeline: SemFlowPipeline
) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    found = []
    for batch_size in (1, 3):
        samples = EvaluatedSamples(Chosen(folder, (2, 0, 1)), None, batch_size, ALONE)
        latents = [encode_batch(moving_pipeline, batch, seed=7) for batch in samples.batches()]
        found.append((torch.cat([z.x_0 for z in latents]), torch.cat([z.x_1 for z in latents])))
    torch.testing.assert_close(found[0], found[1])


def test_a_split_of_three_samples_is_refused_in_one_line() -> None:
    check_enough_samples(LEAST_SAMPLES, "val")
    with pytest.raises(UserError, match="split val has 3 samples") as refusal:
        check_enough_samples(LEAST_SAMPLES - 1, "val")
    assert "give it 4 or more" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("reference", "least"), [("own", 4), ("other", 2)])
def test_params_that_ask_for_too_few_samples_are_refused(
    params: DatasetParams, reference: str, least: int
) -> None:
    values = {**params.evaluate.model_dump(), "reference": reference}
    EvaluateParams.model_validate({**values, "samples": least})
    with pytest.raises(ValidationError, match=f"give {least} or more"):
        EvaluateParams.model_validate({**values, "samples": least - 1})
