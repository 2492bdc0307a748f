from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from support.tiny import (
    CHANNELS,
    PATCH,
    TinyDataset,
    random_images,
    same_weights,
    tiny_samples,
)
from support.tiny_data import BACKBONE, CLASSES, SIZE
from torch import nn

from semflow.baselines.color_classifier import load_color_classifier
from semflow.baselines.schema import BaselineStage
from semflow.baselines.train import train_baselines
from semflow.baselines.unet import (
    Segmenter,
    class_cross_entropy,
    load_segmenter,
    new_segmenter,
    train_segmenter,
    twin,
)
from semflow.core.errors import UserError
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import encode, to_unit_range
from semflow.networks.null_prompt import NullPrompt
from semflow.networks.schema import NetworkShape
from semflow.networks.velocity import scratch_unet
from semflow.schema import DatasetParams
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import MICRO_BATCH
from semflow.training.inputs import ModelInputs
from semflow.training.samples import NoMasks, TrainingSample, TrainingSamples

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
def inputs(workspace: Path, dataset: TinyDataset, autoencoder: PatchAutoencoder) -> ModelInputs:
    autoencoder.save_pretrained(workspace / "autoencoder")
    scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS).save_pretrained(workspace / "backbone" / "unet")
    NullPrompt(tokens=1, width=8).save_pretrained(workspace / "backbone" / "null_prompt")
    return ModelInputs(
        "earth",
        dataset.shards,
        dataset.image_latents,
        workspace / "autoencoder",
        workspace / "backbone",
    )


def stage(params: DatasetParams) -> BaselineStage:
    """What the stage `baseline` reads of a block."""
    return BaselineStage.model_validate(params.model_dump())


def train(
    inputs: ModelInputs, params: DatasetParams, samples: TrainingSamples, folder: Path
) -> Segmenter:
    accelerator, checkpoints = Accelerator(cpu=True), Checkpoints(folder)
    return train_segmenter(inputs, stage(params), (SIZE, SIZE), samples, accelerator, checkpoints)


def test_its_learning_rate_is_its_own_and_not_the_flows(
    dataset: TinyDataset, params: DatasetParams, inputs: ModelInputs
) -> None:
    samples = replace(tiny_samples(params, dataset), masks=NoMasks())

    def trained(**changes: object) -> nn.Module:
        with TemporaryDirectory() as folder:
            return train(inputs, params.model_copy(update=changes), samples, Path(folder))

    flow = params.train.model_copy(update={"learning_rate": 0.5})
    own = params.baseline.model_copy(update={"learning_rate": 0.5})
    assert same_weights(trained(), trained(train=flow))
    assert not same_weights(trained(), trained(baseline=own))


class WithoutNoise(TrainingSamples):
    """The same samples, whose latents are drawn without noise."""

    def __getitem__(self, position: int) -> TrainingSample:
        sample = super().__getitem__(position)
        sample["moments_noise"] = torch.zeros_like(sample["moments_noise"])
        return sample


@pytest.mark.parametrize("posterior", ["sample", "mode"])
def test_it_learns_from_posterior_samples_or_modes_as_the_flow_does(
    dataset: TinyDataset, params: DatasetParams, inputs: ModelInputs, posterior: str
) -> None:
    flow = params.flow.model_copy(update={"posterior": posterior})
    params = params.model_copy(update={"flow": flow})
    samples = replace(tiny_samples(params, dataset), masks=NoMasks())
    silent = WithoutNoise(**{name: getattr(samples, name) for name in vars(samples)})
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        noisy = train(inputs, params, samples, Path(one))
        assert same_weights(noisy, train(inputs, params, silent, Path(other))) == (
            posterior == "mode"
        )


@pytest.mark.parametrize("seed", range(5))
def test_its_loss_is_torchs_mean_over_pixels_with_a_class_to_the_bit(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, NUM_CLASSES, 13, 11, generator=generator)
    label = torch.randint(0, NUM_CLASSES, (3, 13, 11), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.3] = 255
    label[0] = 255
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = class_cross_entropy(one, label)
    expected = F.cross_entropy(other, label, ignore_index=255)
    found.backward()
    expected.backward()
    assert torch.equal(found, expected)
    assert one.grad is not None
    assert other.grad is not None
    assert torch.equal(one.grad, other.grad)


def test_where_no_pixel_has_a_class_its_loss_is_nothing_and_teaches_nothing() -> None:
    logits = torch.randn(2, NUM_CLASSES, 4, 4, requires_grad=True)
    loss = class_cross_entropy(logits, torch.full((2, 4, 4), 255))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


class OneWithoutClasses(TrainingSamples):
    """The sample at the second position has no pixel with a class."""

    def __getitem__(self, position: int) -> TrainingSample:
        sample = super().__getitem__(position)
        if position == 1:
            sample["label"] = torch.full_like(sample["label"], 255)
        return sample


def test_a_sample_without_any_class_does_not_stop_it_however_small_its_parts(
    dataset: TinyDataset,
    params: DatasetParams,
    inputs: ModelInputs,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MICRO_BATCH, "1")
    whole = tiny_samples(params, dataset)
    samples = OneWithoutClasses(
        whole.labels, whole.label_member, whole.latents, NoMasks(), whole.mirrored, whole.seed
    )
    trained = train(inputs, params, samples, workspace / "scratch")
    assert all(bool(weights.isfinite().all()) for weights in trained.parameters())


def test_it_takes_the_backbones_shape_or_its_own(
    params: DatasetParams, inputs: ModelInputs
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
    workspace: Path, params: DatasetParams, inputs: ModelInputs, autoencoder: PatchAutoencoder
) -> None:
    for name in ("one", "two"):
        train_baselines(inputs, stage(params), workspace / name)
        # What a finished run leaves is forgotten, so that the next starts at step 0.
        shutil.rmtree(workspace / ".scratch")
    found = files(workspace / "one")
    assert found == files(workspace / "two")
    assert found.keys() > {
        "color_classifier.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "provenance.json",
    }
    trained = load_segmenter(workspace / "one", 0.5)
    new = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), params.baseline.seed, NUM_OUTPUTS)
    assert isinstance(trained.field.unet, nn.Module)
    assert not same_weights(trained.field.unet, new)
    pixels = torch.from_numpy(random_images(1))
    expected = (1, NUM_CLASSES, SIZE, SIZE)
    assert trained.score_batch(autoencoder, pixels).shape == expected
    classifier = load_color_classifier(workspace / "one" / "color_classifier.safetensors")
    assert classifier.score_batch(pixels).shape == expected


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_stage_publishes_again_without_training_and_nothing_that_has_diverged(
    workspace: Path,
    params: DatasetParams,
    inputs: ModelInputs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train_baselines(inputs, stage(params), workspace / "out")
    expected = files(workspace / "out")
    shutil.rmtree(workspace / "out")
    train_baselines(inputs, stage(params), workspace / "out")
    assert f"baseline: resumed at step {params.train.steps}\n" in capsys.readouterr().err
    assert files(workspace / "out") == expected

    wild = params.model_copy(
        update={
            "train": params.train.model_copy(update={"steps": 1}),
            "baseline": params.baseline.model_copy(update={"learning_rate": 1e38}),
        }
    )
    with pytest.raises(UserError, match=r"not finite after step 1.*lower baseline\.learning_rate"):
        train_baselines(inputs, stage(wild), workspace / "out")
    assert files(workspace / "out") == expected
