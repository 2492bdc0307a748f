from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
import torch
from support.tiny import CHANNELS, PATCH, TinyDataset
from support.tiny_data import BACKBONE, CLASSES

from bench.baselines import confusion_of, lines_of, main
from semflow.baselines.color_classifier import fit_color_classifiers, save_color_classifier
from semflow.baselines.scaling import InputScaling
from semflow.baselines.unet import Segmenter, save_segmenter, twin
from semflow.metrics.confusion import ConfusionMatrix
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.shards.manifest import read_manifest
from stages.entry import Folders

NUM_CLASSES = len(CLASSES.names)


def test_a_class_is_described_by_its_share_its_iou_and_what_it_is_taken_for() -> None:
    confusion = ConfusionMatrix(3)
    label = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    prediction = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    confusion.update(prediction, label)
    assert lines_of(confusion, ("sea", "land", "ice")) == [
        "sea: share 0.400, IoU 0.750, as 75 25 0",
        "land: share 0.600, IoU 0.429, as 0 50 50",
        "ice: share 0.000, IoU 0.000, as 0 0 0",
    ]


@pytest.mark.usefixtures("workspace")
def test_both_baselines_are_measured_on_val(
    dataset: TinyDataset,
    autoencoder: PatchAutoencoder,
    lines_of: Callable[..., list[str]],
) -> None:
    folders = Folders("tiny")
    shutil.copytree(dataset.shards, folders.shards)
    autoencoder.save_pretrained(folders.autoencoder)
    unet = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), 1, NUM_CLASSES * PATCH**2)
    scaling = InputScaling.none(CHANNELS)
    save_segmenter(Segmenter(unet, NullPrompt(tokens=1, width=8), 0.5, scaling), folders.baseline)
    [classifier] = fit_color_classifiers(read_manifest(dataset.shards / "train"), [0.5])
    save_color_classifier(classifier, folders.baseline / "color_classifier.safetensors")

    lines = lines_of(main, "tiny")
    assert len(lines) == 2 * (1 + NUM_CLASSES)
    val = read_manifest(dataset.shards / "val")
    miou = confusion_of(classifier.score_batch, val, NUM_CLASSES).miou
    assert miou > 0.5
    assert lines[0] == f"colour classifier, blur 0.5: mIoU {miou:.3f}"
    assert lines[1 + NUM_CLASSES].startswith("U-Net: mIoU 0.")
