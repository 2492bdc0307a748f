from __future__ import annotations

import math
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from support.tiny import CHANNELS, PATCH, TinyDataset, tensors_of, tiny_samples
from support.tiny_data import BACKBONE, SIZE
from torch import Tensor, nn
from torch.utils.data import default_collate

from semflow.formulations.schema import FlowParams, PreconditioningParams
from semflow.formulations.semflow import SemFlow
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.statistics import LatentStatistics, latent_statistics
from semflow.networks.velocity import VelocityField, scratch_unet
from semflow.pseudo_masks.noise import Noise
from semflow.schema import DatasetParams
from semflow.training.loss import Losses, Task, anchor_cross_entropy, end_points, flow_losses
from semflow.training.samples import TrainingSample

BLACK_AND_WHITE = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, dtype=torch.float32).view(1, 3, 1, 1)


def label(class_id: int) -> Tensor:
    return torch.full((1, 1, 1), class_id)


def test_the_anchor_loss_of_one_pixel_is_that_worked_by_hand() -> None:
    # Squared distances of (0, 0, 0.5): 1 + 1 + 2.25 to black, 1 + 1 + 0.25 to white.
    found = anchor_cross_entropy(pixel(0, 0, 0.5), label(0), BLACK_AND_WHITE, 2.0)
    assert float(found) == pytest.approx(math.log(1 + math.exp((4.25 - 2.25) / 2)))
    found = anchor_cross_entropy(pixel(0, 0, 0.5), label(1), BLACK_AND_WHITE, 2.0)
    assert float(found) == pytest.approx(math.log(1 + math.exp((2.25 - 4.25) / 2)))


def test_a_pixel_on_its_anchor_costs_little_and_less_when_cold() -> None:
    losses = [
        float(anchor_cross_entropy(pixel(1, 1, 1), label(1), BLACK_AND_WHITE, temperature))
        for temperature in (10.0, 1.0, 0.1)
    ]
    assert losses[0] > losses[1] > losses[2]
    assert losses[1] == pytest.approx(math.log(1 + math.exp(-12)), abs=1e-6)


def test_ignored_pixels_are_left_out_of_each_samples_mean() -> None:
    image = torch.rand(2, 3, 1, 2) * 2 - 1
    ids = torch.tensor([[[0, 255]], [[1, 0]]])
    found = anchor_cross_entropy(image, ids, BLACK_AND_WHITE, 1.0)
    alone = [
        float(
            anchor_cross_entropy(
                image[n : n + 1, :, :, c : c + 1],
                ids[n : n + 1, :, c : c + 1],
                BLACK_AND_WHITE,
                1.0,
            )
        )
        for n, c in ((0, 0), (1, 0), (1, 1))
    ]
    assert found.tolist() == pytest.approx([alone[0], (alone[1] + alone[2]) / 2])


def test_a_sample_without_any_class_costs_nothing() -> None:
    found = anchor_cross_entropy(pixel(0, 0, 0), label(255), BLACK_AND_WHITE, 1.0)
    assert float(found) == 0


@pytest.fixture
def batch(dataset: TinyDataset, params: DatasetParams) -> TrainingSample:
    samples = tiny_samples(params, dataset)
    collated: TrainingSample = default_collate([samples[position] for position in range(6)])
    # One of each: exactly at the image, inside, exactly at the mask.
    collated["uniform"] = torch.tensor([0.0, 0.5, 0.99, 0.2, 0.7, 0.8])
    return collated


@pytest.fixture
def field() -> VelocityField:
    unet = scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS)
    nn.init.normal_(unet.conv_out.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return VelocityField(unet, torch.zeros(1, 1, 8))


ANCHORS = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [-1, 0, 1], [1, 0, -1]])
AMPLITUDE = 40.0
MASK_NOISE = Noise(AMPLITUDE)


def losses_of(
    field: nn.Module,
    autoencoder: PatchAutoencoder,
    batch: TrainingSample,
    params: FlowParams,
    statistics: LatentStatistics | None = None,
) -> Losses:
    task = Task(SemFlow(), autoencoder, statistics, None, ANCHORS, MASK_NOISE)
    return flow_losses(field, task, batch, params)


def expected_losses(
    field: VelocityField, autoencoder: PatchAutoencoder, batch: TrainingSample, params: FlowParams
) -> tuple[float, float]:
    """Eq. 9, 10 and 14 and the anchors' cross-entropy, written out again sample by sample."""
    scale = autoencoder.config.scaling_factor
    rotation = autoencoder.encoder_linear.weight[:, :, 0, 0]
    velocity_losses, anchor_losses = [], []
    for n in range(len(batch["label"])):
        mean, log_variance = batch["moments"][n].chunk(2)
        x_0 = mean
        if params.posterior == "sample":
            x_0 = mean + (0.5 * log_variance).exp() * batch["moments_noise"][n]
        mask = batch["pseudo_mask"][n] + AMPLITUDE / 127.5 * batch["mask_noise"][n]
        patches = F.pixel_unshuffle(mask[None], PATCH)[0]
        x_1 = torch.einsum("cp,phw->chw", rotation, patches)
        u = float(batch["uniform"][n])
        low, high = params.probability_at_image, 1 - params.probability_at_mask
        t = min(max((u - low) / (high - low), 0), 1)
        x_t = scale * ((1 - t) * x_0 + t * x_1)
        velocity = field(x_t[None], torch.tensor([t]))[0]
        counted = (batch["label"][n] != 255).float()
        share = counted.reshape(SIZE // PATCH, PATCH, SIZE // PATCH, PATCH).mean(dim=(1, 3))
        weight = share if params.ignored == "masked" else torch.ones_like(share)
        error = (velocity - scale * (x_1 - x_0)).square() * weight
        velocity_losses.append(float(error.mean()))
        estimate = (x_t + (1 - t) * velocity) / scale
        picture = F.pixel_shuffle(torch.einsum("cp,chw->phw", rotation, estimate)[None], PATCH)[0]
        losses = []
        for y in range(SIZE):
            for x in range(SIZE):
                if int(batch["label"][n, y, x]) != 255:
                    distances = (picture[:, y, x] - ANCHORS).square().sum(dim=1)
                    scores = (-distances / params.anchor_temperature).log_softmax(dim=0)
                    losses.append(-float(scores[batch["label"][n, y, x]]))
        if t == 0:
            anchor_losses.append(sum(losses) / max(len(losses), 1))
    velocity = sum(velocity_losses) / len(velocity_losses)
    return velocity, sum(anchor_losses) / (len(batch["label"]) * params.probability_at_image)


@pytest.mark.parametrize("posterior", ["sample", "mode"])
@pytest.mark.parametrize("ignored", ["supervised", "masked"])
def test_both_terms_equal_the_formulas_written_out_again(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
    posterior: str,
    ignored: str,
) -> None:
    changes = {"posterior": posterior, "ignored": ignored}
    settings = params.flow.model_copy(
        update={**changes, "anchor_temperature": 0.7, "velocity_loss_weight": 2.0}
    )
    assert bool((batch["label"] == 255).any())
    with torch.no_grad():
        found = losses_of(field, autoencoder, batch, settings)
        velocity, anchor = expected_losses(field, autoencoder, batch, settings)
    assert float(found.velocity) == pytest.approx(velocity, rel=1e-4)
    assert float(found.anchor) == pytest.approx(anchor, rel=1e-4)
    assert float(found.total) == pytest.approx(2.0 * velocity + 0.5 * anchor, rel=1e-4)


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_halves(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
) -> None:
    batch["uniform"] = torch.tensor([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    halves = [
        {name: value[part] for name, value in tensors_of(batch).items()}
        for part in (slice(0, 2), slice(2, 4))
    ]
    four = {name: value[:4] for name, value in tensors_of(batch).items()}
    # Were they equal, a mean over those at the image would be the mean of the halves' means too.
    at_image = [(half["uniform"] <= params.flow.probability_at_image).sum() for half in halves]
    assert at_image[0] != at_image[1]
    with torch.no_grad():
        whole = losses_of(field, autoencoder, cast(TrainingSample, four), params.flow)
        parts = [
            losses_of(field, autoencoder, cast(TrainingSample, half), params.flow)
            for half in halves
        ]
    for name in ("total", "velocity", "anchor"):
        mean = sum(float(getattr(part, name)) for part in parts) / 2
        assert float(getattr(whole, name)) == pytest.approx(mean, rel=1e-5)


def test_without_its_weight_the_anchor_term_is_zero_and_nothing_is_decoded(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
) -> None:
    settings = params.flow.model_copy(update={"anchor_loss_weight": 0.0})
    found = losses_of(field, autoencoder, batch, settings)
    assert float(found.anchor) == 0
    assert torch.equal(found.total, found.velocity)


def test_at_the_mask_the_anchor_term_teaches_nothing(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
) -> None:
    batch["uniform"] = torch.full((6,), 0.99)
    found = losses_of(field, autoencoder, batch, params.flow)
    assert float(found.anchor) == 0
    assert float(found.velocity) > 0


def test_both_terms_train_the_backbone_and_only_it(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
) -> None:
    for weights in ((1.0, 0.0), (1e-9, 1.0)):
        settings = params.flow.model_copy(
            update={"velocity_loss_weight": weights[0], "anchor_loss_weight": weights[1]}
        )
        field.zero_grad()
        found = losses_of(field, autoencoder, batch, settings)
        found.total.backward()
        assert field.unet.conv_out.weight.grad is not None
        assert float(field.unet.conv_out.weight.grad.norm()) > 1e-4
    assert all(parameter.grad is None for parameter in autoencoder.parameters())


def test_a_field_that_knows_the_velocity_has_no_velocity_loss(
    batch: TrainingSample, autoencoder: PatchAutoencoder, params: DatasetParams
) -> None:
    # All of the batch is one sample at its image end, whose velocity is then a constant.
    firsts = {name: value[:1].expand_as(value) for name, value in tensors_of(batch).items()}
    one = cast(TrainingSample, firsts)
    one["uniform"] = torch.zeros(6)
    mean = one["moments"].chunk(2, dim=1)[0]
    noise = (0.5 * one["moments"].chunk(2, dim=1)[1]).exp() * one["moments_noise"]
    mask = one["pseudo_mask"] + AMPLITUDE / 127.5 * one["mask_noise"]
    truth = 0.5 * (autoencoder.encode(mask).latent_dist.mean - mean - noise)

    class Knowing(nn.Module):
        def forward(self, _x: Tensor, _t: Tensor) -> Tensor:
            return truth

    found = losses_of(Knowing(), autoencoder, one, params.flow)
    assert float(found.velocity) == pytest.approx(0, abs=1e-10)


def test_a_preconditioned_velocity_loss_is_measured_in_units_of_what_is_left(
    batch: TrainingSample,
    field: VelocityField,
    autoencoder: PatchAutoencoder,
    params: DatasetParams,
) -> None:
    x_0, x_1 = end_points(autoencoder, batch, "mode", MASK_NOISE)
    statistics = latent_statistics(x_0, x_1)
    batch["uniform"] = torch.full((6,), 0.99)  # all at the mask
    residual = statistics.on_path(torch.ones(1)).residual
    with torch.no_grad():
        error = (field(x_1, torch.ones(6)) - (x_1 - x_0)).square().mean(dim=(0, 2, 3))
    for power in (0.0, 0.5, 1.0):
        settings = params.flow.model_copy(
            update={
                "posterior": "mode",
                "ignored": "supervised",
                "preconditioning": PreconditioningParams(samples=1, loss_power=power),
            }
        )
        found = losses_of(field, autoencoder, batch, settings, statistics)
        expected = float((error / residual ** (2 * power)).mean())
        assert float(found.velocity) == pytest.approx(expected, rel=1e-4)
