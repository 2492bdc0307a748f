from __future__ import annotations

import numpy as np
import pytest
from support.tiny import ALONE, TinyDataset

from semflow.evaluation.samples import ValSamples, choose_samples
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.tar import ShardFolder, png_pixels


@pytest.fixture
def train(dataset: TinyDataset) -> ShardFolder:
    """Ten samples, more than the val split has."""
    return ShardFolder(read_manifest(dataset.shards / "train"))


def test_own_references_are_the_tested_samples_and_the_floor_is_their_halves(
    train: ShardFolder, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "own", "samples": 10})
    chosen = choose_samples(train, settings, ALONE)
    assert chosen.tested.positions == chosen.reference.positions == tuple(range(10))
    assert [half.positions for half in chosen.floor] == [(0, 2, 4, 6, 8), (1, 3, 5, 7, 9)]


def test_other_references_take_turns_with_the_tested_samples_and_are_the_floor(
    train: ShardFolder, params: DatasetParams
) -> None:
    settings = params.evaluate.model_copy(update={"reference": "other", "samples": 3})
    chosen = choose_samples(train, settings, ALONE)
    assert chosen.tested.positions == (0, 3, 7)
    assert chosen.reference.positions == (1, 5, 9)
    assert [half.positions for half in chosen.floor] == [(0, 3, 7), (1, 5, 9)]


def test_batches_hold_every_sample_once_with_its_own_native_label(dataset: TinyDataset) -> None:
    folder = ShardFolder(read_manifest(dataset.shards / "val"))
    samples = ValSamples(folder, (2, 0, 1), batch_size=2, team=ALONE)
    batches = list(samples.batches("test"))
    assert [len(batch.label) for batch in batches] == [2, 1]
    assert [samples.key(item) for item in range(3)] == ["val_2", "val_0", "val_1"]
    assert [batch.items for batch in batches] == [range(2), range(2, 3)]
    native = [label for batch in batches for label in batch.native_labels]
    for position, label in zip((2, 0, 1), native, strict=True):
        assert np.array_equal(label, png_pixels(folder.read(position, "native_label.png")))
        assert label.shape != batches[0].label.shape[1:]
