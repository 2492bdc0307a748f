from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from accelerate import Accelerator
from support.tiny import (
    BACKBONE,
    CHANNELS,
    PATCH,
    TinyDataset,
    random_images,
    same_weights,
    tiny_samples,
    training_inputs,
)
from support.tiny_data import CLASSES, SIZE
from torch import nn

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.train import train_baselines
from semflow.baselines.unet import Segmenter, load_segmenter, new_segmenter, train_segmenter, twin
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import encode, to_unit_range
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.schema import NetworkShape
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.inputs import TrainingInputs

NUM_CLASSES = len(CLASSES.names)
NUM_OUTPUTS = NUM_CLASSES * PATCH**2


@pytest.fixture
def segmenter() -> Segmenter:
    unet = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), 1, NUM_OUTPUTS)
    return Segmenter(unet, NullPrompt(tokens=1, width=8), 0.5).eval()


def test_its_head_has_a_channel_for_every_class_of_every_pixel_of_a_patch(
    segmenter: Segmenter,
) -> None:
    config, backbone = (
        segmenter.field.unet.config,
        scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS).config,
    )
    assert config.out_channels == NUM_CLASSES * PATCH**2
    for name in ("in_channels", "block_out_channels", "layers_per_block", "down_block_types"):
        assert config[name] == backbone[name]


def test_its_weights_follow_its_seed_and_leave_the_global_generator_untouched() -> None:
    backbone = scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = twin(backbone, 1, NUM_OUTPUTS)
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, twin(backbone, 1, NUM_OUTPUTS))
    assert not same_weights(one, twin(backbone, 2, NUM_OUTPUTS))


@torch.no_grad()
def test_its_scores_are_the_unets_channels_laid_out_as_pixels(
    segmenter: Segmenter, autoencoder: PatchAutoencoder
) -> None:
    pixels = torch.from_numpy(random_images(2))
    latents = encode(autoencoder, to_unit_range(pixels))
    logits = segmenter(latents, (SIZE, SIZE))
    assert logits.shape == (2, NUM_CLASSES, SIZE, SIZE)
    # The U-Net at t = 0, its channels laid out as pixels by hand.
    raw = segmenter.field.unet(latents, torch.zeros(2), torch.zeros(2, 1, 8)).sample
    for y, x in ((0, 0), (5, 14), (15, 3)):
        place = (y % PATCH) * PATCH + x % PATCH
        channels = [class_id * PATCH**2 + place for class_id in range(NUM_CLASSES)]
        torch.testing.assert_close(logits[:, :, y, x], raw[:, channels, y // PATCH, x // PATCH])
    assert torch.equal(segmenter.score_batch(autoencoder, pixels), logits)


@pytest.fixture
def inputs(workspace: Path, dataset: TinyDataset, autoencoder: PatchAutoencoder) -> TrainingInputs:
    autoencoder.save_pretrained(workspace / "autoencoder")
    scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS).save_pretrained(workspace / "backbone" / "unet")
    NullPrompt(tokens=1, width=8).save_pretrained(workspace / "backbone" / "null_prompt")
    return training_inputs(dataset.shards, dataset.image_latents, workspace)


def test_its_learning_rate_is_its_own_and_not_the_flows(
    dataset: TinyDataset, params: DatasetParams, inputs: TrainingInputs
) -> None:
    samples = tiny_samples(params, dataset)

    def trained(**changes: object) -> nn.Module:
        settings = params.model_copy(update=changes)
        with TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder))
            return train_segmenter(inputs, settings, samples, Accelerator(cpu=True), checkpoints)

    flow = params.train.model_copy(update={"learning_rate": 0.5})
    own = params.baseline.model_copy(update={"learning_rate": 0.5})
    assert same_weights(trained(), trained(train=flow))
    assert not same_weights(trained(), trained(baseline=own))


def test_it_takes_the_backbones_shape_or_its_own(
    params: DatasetParams, inputs: TrainingInputs
) -> None:
    shape = NetworkShape.model_validate(
        {
            "block_out_channels": [8, 8, 8],
            "layers_per_block": 1,
            "attention_head_dim": 8,
            "norm_num_groups": 4,
        }
    )
    own = params.baseline.model_copy(update={"network": shape})
    for baseline, channels in ((params.baseline, BACKBONE.block_out_channels), (own, (8, 8, 8))):
        segmenter = new_segmenter(inputs, baseline, NUM_CLASSES, PATCH)
        assert tuple(segmenter.field.unet.config.block_out_channels) == tuple(channels)
        logits = segmenter(torch.zeros(1, CHANNELS, 4, 4), (4 * PATCH, 4 * PATCH))
        assert logits.shape == (1, NUM_CLASSES, 4 * PATCH, 4 * PATCH)


def test_the_stage_leaves_both_baselines_and_the_same_bytes_twice(
    workspace: Path, params: DatasetParams, inputs: TrainingInputs, autoencoder: PatchAutoencoder
) -> None:
    for name in ("one", "two"):
        train_baselines(inputs, params, workspace / name)
    files = ["color_classifier.safetensors", "unet/diffusion_pytorch_model.safetensors"]
    for file in files:
        assert (workspace / "one" / file).read_bytes() == (workspace / "two" / file).read_bytes()
    trained = load_segmenter(workspace / "one", 0.5)
    new = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), params.baseline.seed, NUM_OUTPUTS)
    assert isinstance(trained.field.unet, nn.Module)
    assert not same_weights(trained.field.unet, new)
    pixels = torch.from_numpy(random_images(1))
    expected = (1, NUM_CLASSES, SIZE, SIZE)
    assert trained.score_batch(autoencoder, pixels).shape == expected
    classifier = load_color_classifier(workspace / "one" / "color_classifier.safetensors")
    assert classifier.score_batch(pixels).shape == expected
