from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from support.tiny_data import CLASSES, SIZE

from semflow.core.errors import UserError
from semflow.peers.maskformer import MaskFormer, load_maskformer, targets_of, train_maskformer
from semflow.peers.schema import MaskFormerParams
from semflow.peers.synthesizer import WEIGHTS
from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.loop import Progress, watch_nothing
from semflow.training.samples import TrainingSamples

pytest.importorskip("transformers", reason="the extra `peers` is not installed")

K = len(CLASSES.names)


class Lines:
    """A log in memory."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def start(self, step: int) -> None:
        """Nothing to forget."""

    def add(self, step: int, values: dict[str, float]) -> None:
        self.losses.append(values["loss"])


def test_a_label_is_a_mask_for_each_of_its_classes_and_none_for_ignored_pixels() -> None:
    masks, classes = targets_of(torch.tensor([[[0, 255], [2, 0]]]))
    assert classes[0].tolist() == [0, 2]
    assert masks[0].tolist() == [[[1, 0], [0, 1]], [[0, 0], [1, 0]]]


def test_a_short_training_lowers_its_loss_and_the_same_seed_gives_the_same_weights(
    samples: TrainingSamples,
    params: DatasetParams,
    maskformer: MaskFormerParams,
    tmp_path: Path,
) -> None:
    train = params.train.model_copy(update={"steps": 12, "batch_size": 4})
    runs = []
    for name in ("one", "other"):
        log = Lines()
        accelerator, checkpoints = Accelerator(cpu=True), Checkpoints(tmp_path / name)
        progress = Progress("maskformer", log, watch_nothing)
        model = MaskFormer(maskformer, K)
        weights = train_maskformer(model, samples, train, accelerator, progress, checkpoints)
        assert sum(log.losses[-3:]) < 0.9 * sum(log.losses[:3])
        runs.append(weights)
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_a_state_that_is_loaded_goes_on_to_the_same_masks_as_one_that_never_stopped(
    samples: TrainingSamples,
    params: DatasetParams,
    maskformer: MaskFormerParams,
    tmp_path: Path,
) -> None:
    def trained(steps: int, folder: str) -> dict[str, torch.Tensor]:
        # Its schedule is constant, so that a shorter training is the longer one's beginning.
        train = params.train.model_copy(update={"steps": steps, "batch_size": 4})
        progress = Progress("maskformer", Lines(), watch_nothing)
        accelerator, checkpoints = Accelerator(cpu=True), Checkpoints(tmp_path / folder)
        model = MaskFormer(maskformer, K)
        return train_maskformer(model, samples, train, accelerator, progress, checkpoints)

    trained(2, "stopped")
    resumed, expected = trained(4, "stopped"), trained(4, "whole")
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_a_saved_one_segments_as_before_and_is_refused_without_one_of_its_tensors(
    maskformer: MaskFormerParams, tmp_path: Path
) -> None:
    model = MaskFormer(maskformer, K).eval()
    model.save(tmp_path)
    image = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    scores = load_maskformer(tmp_path).scores(image)
    assert torch.equal(scores, model.scores(image))
    assert scores.shape == (2, K, SIZE, SIZE)
    weights = load_file(tmp_path / WEIGHTS)
    weights.pop(next(iter(weights)))
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="does not fit its"):
        load_maskformer(tmp_path)
