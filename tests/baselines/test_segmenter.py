from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny import BACKBONE, CHANNELS, PATCH, TinyDataset, random_images, same_weights, tiny_samples
from tiny_data import CLASSES, SIZE
from torch import nn

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.train import train_baselines
from semflow.baselines.unet import Segmenter, classifying_unet, load_segmenter, train_segmenter
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.latents import encode, to_unit_range
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.velocity import scratch_unet
from semflow.params import DatasetParams
from semflow.training.checkpoints import Checkpoints

NUM_CLASSES = len(CLASSES.names)


@pytest.fixture
def segmenter() -> Segmenter:
    unet = classifying_unet(scratch_unet(BACKBONE, CHANNELS, CHANNELS), NUM_CLASSES, PATCH, seed=1)
    return Segmenter(unet, NullPrompt(tokens=1, width=8), 0.5).eval()


def test_its_head_has_a_channel_for_every_class_of_every_pixel_of_a_patch(
    segmenter: Segmenter,
) -> None:
    config, twin = segmenter.field.unet.config, scratch_unet(BACKBONE, CHANNELS, CHANNELS).config
    assert config.out_channels == NUM_CLASSES * PATCH**2
    for name in ("in_channels", "block_out_channels", "layers_per_block", "down_block_types"):
        assert config[name] == twin[name]


def test_its_weights_follow_its_seed_and_leave_the_global_generator_untouched() -> None:
    backbone = scratch_unet(BACKBONE, CHANNELS, CHANNELS)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = classifying_unet(backbone, NUM_CLASSES, PATCH, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert same_weights(one, classifying_unet(backbone, NUM_CLASSES, PATCH, seed=1))
    assert not same_weights(one, classifying_unet(backbone, NUM_CLASSES, PATCH, seed=2))


@torch.no_grad()
def test_it_labels_each_pixel_by_its_largest_logit(
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
    labels = segmenter.segment_batch(autoencoder, pixels)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), logits.argmax(dim=1))


@pytest.mark.usefixtures("workspace")
def test_its_learning_rate_is_its_own_and_not_the_flows(
    dataset: TinyDataset, params: DatasetParams, autoencoder: PatchAutoencoder
) -> None:
    samples = tiny_samples(params, dataset.shards, dataset.image_latents)
    unet, null_prompt = scratch_unet(BACKBONE, CHANNELS, CHANNELS), NullPrompt(tokens=1, width=8)

    def trained(**changes: object) -> nn.Module:
        settings = params.model_copy(update=changes)
        with TemporaryDirectory() as folder:
            return train_segmenter(
                "earth",
                settings,
                samples,
                autoencoder,
                unet,
                null_prompt,
                Accelerator(cpu=True),
                Checkpoints(Path(folder), "baseline"),
            )

    flow = params.train.model_copy(update={"learning_rate": 0.5})
    own = params.baseline.model_copy(update={"learning_rate": 0.5})
    assert same_weights(trained(), trained(train=flow))
    assert not same_weights(trained(), trained(baseline=own))


def test_the_stage_leaves_both_baselines_and_the_same_bytes_twice(
    workspace: Path, dataset: TinyDataset, params: DatasetParams, autoencoder: PatchAutoencoder
) -> None:
    unet = scratch_unet(BACKBONE, CHANNELS, CHANNELS)
    null_prompt = NullPrompt(tokens=1, width=8)
    autoencoder.save_pretrained(workspace / "autoencoder")
    unet.save_pretrained(workspace / "backbone" / "unet")
    null_prompt.save_pretrained(workspace / "backbone" / "null_prompt")
    for name in ("one", "two"):
        train_baselines(
            "earth",
            params,
            pixels=dataset.shards,
            latents=dataset.image_latents,
            autoencoder_folder=workspace / "autoencoder",
            backbone=workspace / "backbone",
            out=workspace / name,
        )
    files = ["color_classifier.safetensors", "unet/diffusion_pytorch_model.safetensors"]
    for file in files:
        assert (workspace / "one" / file).read_bytes() == (workspace / "two" / file).read_bytes()
    trained = load_segmenter(workspace / "one" / "unet", null_prompt, 0.5)
    new = classifying_unet(unet, NUM_CLASSES, PATCH, params.baseline.seed)
    assert isinstance(trained.field.unet, nn.Module)
    assert not same_weights(trained.field.unet, new)
    pixels = random_images(1)
    assert trained.segment_batch(autoencoder, torch.from_numpy(pixels)).shape == (1, SIZE, SIZE)
    classifier = load_color_classifier(workspace / "one" / "color_classifier.safetensors")
    assert np.isin(classifier(torch.from_numpy(pixels)).numpy(), range(NUM_CLASSES)).all()
