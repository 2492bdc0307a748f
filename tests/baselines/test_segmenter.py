from __future__ import annotations

import copy
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
from semflow.baselines.scaling import InputScaling, input_scaling
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
from semflow.training.samples import (
    STATISTICS_SAMPLES,
    NoMasks,
    TrainingSample,
    TrainingSamples,
)

NUM_CLASSES = len(CLASSES.names)
NUM_OUTPUTS = NUM_CLASSES * PATCH**2


@pytest.fixture
def segmenter() -> Segmenter:
    unet = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), 1, NUM_OUTPUTS)
    return Segmenter(unet, NullPrompt(tokens=1, width=8), 0.5, InputScaling.none(CHANNELS)).eval()


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


@torch.no_grad()
def test_its_network_sees_latents_at_mean_0_and_deviation_1(segmenter: Segmenter) -> None:
    scale = torch.logspace(-2, 1, CHANNELS)[:, None, None]
    latents = 3 + scale * torch.randn(
        64, CHANNELS, 4, 4, generator=torch.Generator().manual_seed(0)
    )
    scaled = copy.deepcopy(segmenter)
    scaled.scaling = InputScaling.of(latents)
    seen = scaled.scaling(latents).transpose(0, 1).flatten(1)
    torch.testing.assert_close(seen.mean(dim=1), torch.zeros(CHANNELS), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(dim=1), torch.ones(CHANNELS), atol=1e-4, rtol=0)
    expected = segmenter(scaled.scaling(latents[:2]), (SIZE, SIZE))
    assert torch.equal(scaled(latents[:2], (SIZE, SIZE)), expected)


def test_a_channel_that_is_constant_is_centred_and_not_blown_up() -> None:
    latents = torch.full((2, 1, 3, 3), 7.0)
    assert not InputScaling.of(latents)(latents).any()
    assert float(InputScaling.of(latents).deviation) == pytest.approx(1e-3)


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_its_input_is_scaled_where_the_flows_is(
    dataset: TinyDataset, params: DatasetParams, standardised: bool, preconditioned: bool
) -> None:
    flow = params.flow.model_copy(
        update={
            "standardise_ends": standardised,
            "preconditioning": params.flow.preconditioning if preconditioned else None,
            "posterior": "mode",
        }
    )
    settings = stage(params.model_copy(update={"flow": flow}))
    samples = tiny_samples(params, dataset)
    found = input_scaling(samples, settings.flow, 0.5)
    if not (standardised or preconditioned):
        # The paper's settings: not one bit of the latents changes.
        latents = torch.randn(2, CHANNELS, 4, 4)
        assert torch.equal(found(latents), latents)
        return
    assert params.flow.preconditioning is not None
    count = params.flow.preconditioning.samples if preconditioned else STATISTICS_SAMPLES
    means = torch.stack([samples[i]["moments"][:CHANNELS] for i in range(count)]) * 0.5
    torch.testing.assert_close(found.mean, means.mean(dim=(0, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.deviation, means.std(dim=(0, 2, 3)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("posterior", ["sample", "mode"])
def test_scales_are_those_of_posterior_samples_or_modes_as_the_flow_draws_them(
    dataset: TinyDataset, params: DatasetParams, posterior: str
) -> None:
    samples, part = tiny_samples(params, dataset), stage(params).flow
    assert part.preconditioning is not None
    drawn = []
    for position in range(part.preconditioning.samples):
        mean, log_variance = samples[position]["moments"].chunk(2)
        noise = samples[position]["moments_noise"] if posterior == "sample" else 0
        drawn.append(0.5 * (mean + (log_variance / 2).exp() * noise))
    expected = torch.stack(drawn).std(dim=(0, 2, 3))
    found = input_scaling(samples, part.model_copy(update={"posterior": posterior}), 0.5)
    torch.testing.assert_close(found.deviation, expected, atol=1e-4, rtol=1e-4)


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
    dataset: TinyDataset, params: DatasetParams, inputs: ModelInputs
) -> None:
    samples = tiny_samples(params, dataset)
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
        settings = stage(params.model_copy(update={"baseline": baseline}))
        segmenter = new_segmenter(inputs, settings, (SIZE, SIZE), samples)
        assert tuple(segmenter.field.unet.config.block_out_channels) == tuple(channels)
        logits = segmenter(torch.zeros(1, CHANNELS, 4, 4), (4 * PATCH, 4 * PATCH))
        assert logits.shape == (1, NUM_CLASSES, 4 * PATCH, 4 * PATCH)


def test_the_stage_leaves_both_baselines_and_the_same_bytes_twice(
    workspace: Path,
    dataset: TinyDataset,
    params: DatasetParams,
    inputs: ModelInputs,
    autoencoder: PatchAutoencoder,
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
        "scaling.safetensors",
        "provenance.json",
    }
    trained = load_segmenter(workspace / "one", 0.5)
    expected_scaling = input_scaling(tiny_samples(params, dataset), stage(params).flow, 0.5)
    for name, values in expected_scaling.named_buffers():
        assert torch.equal(getattr(trained.scaling, name), values)
    new = twin(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), params.baseline.seed, NUM_OUTPUTS)
    assert isinstance(trained.field.unet, nn.Module)
    assert not same_weights(trained.field.unet, new)
    pixels = torch.from_numpy(random_images(1))
    expected = (1, NUM_CLASSES, SIZE, SIZE)
    assert trained.score_batch(autoencoder, pixels).shape == expected
    classifier = load_color_classifier(workspace / "one" / "color_classifier.safetensors")
    assert classifier.score_batch(pixels).shape == expected
    assert classifier.blur in params.baseline.color_blur


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
