from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from support.tiny import ALONE, TinyDataset

from semflow.core.errors import UserError
from semflow.evaluation.samples import EvaluatedSamples, choose_samples, encode_batch
from semflow.evaluation.schema import LEAST_SAMPLES, EvaluateParams, check_enough_samples
from semflow.pipeline import SemFlowPipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels


@pytest.fixture
def train(dataset: TinyDataset) -> ShardFolder:
    """Ten samples, more than the val split has."""
    return ShardFolder(read_manifest(dataset.shards / "train"))


def test_with_own_references_every_chosen_sample_is_tested(
    train: ShardFolder, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "own", "samples": 10})
    chosen = choose_samples(train, settings, ALONE)
    assert chosen.tested == tuple(range(10))
    assert chosen.others is None


def test_other_references_take_turns_with_the_tested_samples(
    train: ShardFolder, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "other", "samples": 3})
    chosen = choose_samples(train, settings, ALONE)
    assert chosen.tested == (0, 3, 7)
    assert chosen.others == (1, 5, 9)


def test_batches_hold_every_sample_once_with_its_own_native_label(dataset: TinyDataset) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    samples = EvaluatedSamples(folder, (2, 0, 1), (0, 1, 2), batch_size=2, team=ALONE)
    batches = list(samples.batches())
    assert [len(batch.label) for batch in batches] == [2, 1]
    assert [samples.key(item) for item in range(3)] == ["val_2", "val_0", "val_1"]
    assert [batch.items for batch in batches] == [range(2), range(2, 3)]
    native = [label for batch in batches for label in batch.native_labels]
    for position, label in zip((2, 0, 1), native, strict=True):
        assert np.array_equal(label, png_pixels(folder.read(position, "native_label.png")))
        assert label.shape != batches[0].label.shape[1:]
    images = torch.cat([batch.image for batch in batches])
    others = torch.cat([batch.others for batch in batches if batch.others is not None])
    assert torch.equal(images, others[[2, 0, 1]])


def test_a_sample_s_latents_do_not_depend_on_its_batch(
    dataset: TinyDataset, moving_pipeline: SemFlowPipeline
) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    found = []
    for batch_size in (1, 3):
        samples = EvaluatedSamples(folder, (2, 0, 1), None, batch_size, ALONE)
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
