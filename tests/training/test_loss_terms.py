"""The terms beyond Eq. 10, on random latents: where they are asked, and in what units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from support.tiny import CHANNELS, PATCH, lossless_autoencoder, tensors_of, tiny_params
from support.tiny_data import SIZE
from torch import Tensor, nn

from semflow.formulations.protocol import Draw
from semflow.formulations.schema import FlowParams, OwnStatesParams, PreconditioningParams
from semflow.formulations.semflow import SemFlow, roll_out
from semflow.networks.autoencoder import PatchAutoencoder
from semflow.networks.encoding import decode
from semflow.networks.ends import Ends
from semflow.networks.statistics import latent_statistics
from semflow.pseudo_masks.noise import Noise
from semflow.training.loss import (
    Losses,
    Task,
    anchor_cross_entropy,
    channel_weights,
    end_points,
    flow_losses,
    randoms_of,
)
from semflow.training.samples import TrainingSample

N, SIDE = 6, SIZE // PATCH
ANCHORS = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [-1, 0, 1], [1, 0, -1]])
AUTOENCODER = lossless_autoencoder(scaling_factor=0.5)
TASK = Task(SemFlow(), AUTOENCODER, None, None, ANCHORS, Noise(40.0))

FLOW = tiny_params().flow.model_copy(
    update={
        "posterior": "mode",
        "ignored": "supervised",
        "preconditioning": None,
        "velocity_loss_weight": 2.0,
        "own_states": OwnStatesParams(share=0.5, until=0.8, max_steps=3),
    }
)
"""With shares of 0.4 at the image and 0.15 at the mask."""

UNIFORM = torch.tensor([0.1, 0.6, 0.8, 0.3, 0.99, 0.7])
OWN_UNIFORM = torch.tensor([0.2, 0.1, 0.9, 0.9, 0.1, 0.3])
AT_IMAGE, OWN, BELOW_ONE = (
    torch.tensor(rows).bool()
    for rows in ([1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 0, 1], [1, 1, 1, 1, 0, 1])
)
ASKED = {"image": AT_IMAGE, "own": AT_IMAGE | OWN, "all": BELOW_ONE}
SHARES = {"image": 0.4, "own": 0.4 + 0.5 * 0.45, "all": 0.85}


class Field(nn.Module):
    """A velocity that mixes channels and knows t; it notes how many rows each call has."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(5)
        self.mixing = nn.Parameter(0.3 * torch.randn(CHANNELS, CHANNELS, generator=draws))
        self.rows: list[int] = []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.rows.append(len(x))
        return torch.einsum("ij,njhw->nihw", self.mixing, x) + t[:, None, None, None]


class Answering(nn.Module):
    """Answers with the same numbers whatever it is asked."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = nn.Parameter(output)

    def forward(self, x: Tensor, _t: Tensor) -> Tensor:
        return self.output[: len(x)]


def flow(**changes: Any) -> FlowParams:
    return FLOW.model_copy(update=changes)


def normal(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(N, CHANNELS, SIDE, SIDE, generator=generator)


@pytest.fixture
def batch() -> TrainingSample:
    labels = torch.randint(0, 4, (N, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
    labels[:, :3] = 255
    moments = torch.cat([2 * normal(0), torch.zeros(N, CHANNELS, SIDE, SIDE)], dim=1)
    return TrainingSample(
        index=torch.arange(N),
        moments=moments,
        moments_noise=normal(3),
        label=labels,
        uniform=UNIFORM.clone(),
        x_1=normal(1),
        own_uniform=OWN_UNIFORM.clone(),
        own_steps=torch.full((N,), 3),
    )


def part_of(batch: TrainingSample, rows: slice | Tensor) -> TrainingSample:
    return cast(TrainingSample, {name: value[rows] for name, value in tensors_of(batch).items()})


def drawn(batch: TrainingSample, network: nn.Module, params: FlowParams) -> Draw:
    x_0, x_1 = end_points(AUTOENCODER, batch, "mode", TASK.noise)
    return SemFlow().draw(network, x_0, x_1, randoms_of(batch), params)


def test_a_frozen_autoencoder_runs_in_the_networks_precision_and_answers_in_float32(
    batch: TrainingSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    for name in ("encode", "decode"):
        whole = getattr(PatchAutoencoder, name)

        def noting(self: PatchAutoencoder, x: Tensor, whole: Any = whole) -> Any:
            answer = whole(self, x)
            seen.append(F.conv2d(x, torch.ones(1, x.shape[1], 1, 1)).dtype)
            return answer

        monkeypatch.setattr(PatchAutoencoder, name, noting)
    online = {name: value for name, value in tensors_of(batch).items() if name != "x_1"}
    shape = (N, 3, SIZE, SIZE)
    online |= {"pseudo_mask": torch.zeros(shape) + 0.3, "mask_noise": torch.ones(shape)}
    masks = cast(TrainingSample, online)
    plain, params = flow_losses(Field(), TASK, masks, flow()), flow()
    assert seen == [torch.float32, torch.float32]
    half = replace(TASK, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    rounded = flow_losses(Field(), half, masks, params)
    assert seen[2:] == [torch.bfloat16, torch.bfloat16]
    assert {value.dtype for value in rounded} == {torch.float32}
    # bfloat16 keeps 8 bits of a number.
    for one, other in zip(plain, rounded, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=1e-3)
    x_1 = end_points(AUTOENCODER, masks, "mode", TASK.noise, half.autocast)[1]
    assert x_1.dtype == torch.float32


def cross_entropies(batch: TrainingSample, estimate: Tensor) -> Tensor:
    """(N,) of estimated latents that are in the autoencoder's own units."""
    picture = decode(AUTOENCODER, estimate)
    return anchor_cross_entropy(picture, batch["label"], ANCHORS, FLOW.anchor_temperature)


@torch.no_grad()
@pytest.mark.parametrize("states", ASKED)
def test_the_anchors_are_asked_at_the_rows_of_the_mode_and_by_their_expected_share(
    batch: TrainingSample, states: str
) -> None:
    params, network = flow(anchor_states=states), Field()
    found = flow_losses(network, TASK, batch, params)
    draw = drawn(batch, network, params)
    assert torch.equal(draw.own, OWN)
    estimate = draw.x_t + (1 - draw.t)[:, None, None, None] * network(draw.x_t, draw.t)
    losses = cross_entropies(batch, estimate)
    expected = losses[ASKED[states]].sum() / (N * SHARES[states])
    assert float(found.anchor) == pytest.approx(float(expected), rel=1e-5)
    assert float(found.total) == pytest.approx(
        2 * float(found.velocity) + 0.5 * float(found.anchor)
    )


@pytest.mark.parametrize("correction", [0.0, 3.0])
@pytest.mark.parametrize("states", ASKED)
def test_the_loss_of_a_batch_is_the_mean_of_its_halves_in_every_mode(
    batch: TrainingSample, states: str, correction: float
) -> None:
    params = flow(anchor_states=states, correction_weight=correction)
    # Were the rows equally many, a mean over those that are asked would pass too.
    rows = ASKED[states]
    assert rows[:2].sum() * 2 != rows[2:].sum()
    parts = [part_of(batch, slice(0, 2)), part_of(batch, slice(2, 4)), part_of(batch, slice(4, 6))]
    whole = flow_losses(Field(), TASK, batch, params)
    losses = [flow_losses(Field(), TASK, part, params) for part in parts]
    for name in Losses._fields:
        mean = torch.stack([getattr(part, name).detach() for part in losses]).mean()
        torch.testing.assert_close(getattr(whole, name).detach(), mean)


@torch.no_grad()
def test_an_own_row_costs_the_error_of_the_end_that_its_step_leads_to(
    batch: TrainingSample,
) -> None:
    params, network = flow(anchor_loss_weight=0.0), Field()
    found = flow_losses(network, TASK, batch, params)
    x_0, x_1 = end_points(AUTOENCODER, batch, "mode", TASK.noise)
    t = drawn(batch, network, params).t
    errors = []
    for n in range(N):
        one, time = slice(n, n + 1), t[n : n + 1]
        if OWN[n]:
            x = roll_out(network, x_0[one], time, 3)
            error = x + (1 - time) * network(x, time) - x_1[one]
        else:
            x = (1 - time) * x_0[one] + time * x_1[one]
            error = network(x, time) - (x_1 - x_0)[one]
        errors.append(float(error.square().mean()))
    assert float(found.velocity) == pytest.approx(sum(errors) / N, rel=1e-5)


@torch.no_grad()
def test_an_own_rows_error_is_in_units_of_what_is_unknown_at_the_image(
    batch: TrainingSample,
) -> None:
    x_0, x_1 = end_points(AUTOENCODER, batch, "mode", TASK.noise)
    statistics = latent_statistics(x_0, x_1)
    params = flow(
        anchor_loss_weight=0.0, preconditioning=PreconditioningParams(samples=1, loss_power=0.5)
    )
    network = Field()
    one = part_of(batch, torch.tensor([1]))
    draw = drawn(one, network, params)
    assert draw.own.tolist() == [True]
    end = draw.x_t + (1 - draw.t) * network(draw.x_t, draw.t)
    unit = statistics.on_path(torch.zeros(1)).residual[0, :, None, None]
    expected = ((end - x_1[1:2]).square() / unit).mean()
    found = flow_losses(network, replace(TASK, statistics=statistics), one, params)
    assert float(found.velocity) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("own", [0.0, 0.5, 1.0])
def test_the_network_is_asked_once_for_each_step_and_once_for_the_loss(
    batch: TrainingSample, own: float
) -> None:
    network = Field()
    params = flow(
        own_states=OwnStatesParams(share=own, until=0.8, max_steps=3), anchor_states="all"
    )
    flow_losses(network, TASK, batch, params).total.backward()
    assert len(network.rows) == 3 + 1
    assert network.rows[-1] == N


def gradient_by_formula(batch: TrainingSample, estimate: Tensor) -> Tensor:
    """Of each sample's cross-entropy by its estimate, by the softmax's formula, pixel by pixel."""
    picture = decode(AUTOENCODER, estimate)
    difference = picture[:, None] - ANCHORS[None, :, :, None, None]
    scores = -difference.square().sum(dim=2) / FLOW.anchor_temperature
    known = batch["label"] != 255
    truth = F.one_hot(batch["label"].where(known, 0), 4).permute(0, 3, 1, 2)
    by_score = (scores.softmax(dim=1) - truth) * known[:, None]
    by_pixel = (by_score[:, :, None] * -2 * difference).sum(dim=1) / FLOW.anchor_temperature
    by_pixel = by_pixel / known.sum(dim=(1, 2))[:, None, None, None]
    # The autoencoder is a rotation of patches; decoding divides by its factor.
    rotation = AUTOENCODER.encoder_linear.weight[:, :, 0, 0]
    patches = F.pixel_unshuffle(by_pixel, PATCH)
    return torch.einsum("cp,nphw->nchw", rotation, patches) / AUTOENCODER.config.scaling_factor


@pytest.mark.parametrize("anchor_weight", [0.0, 0.5])
@pytest.mark.parametrize("states", ASKED)
def test_a_correction_moves_the_target_by_the_losss_gradient_and_has_none_itself(
    batch: TrainingSample, states: str, anchor_weight: float
) -> None:
    params = flow(anchor_states=states, correction_weight=4.0, anchor_loss_weight=anchor_weight)
    network = Answering(normal(7))
    flow_losses(network, TASK, batch, params).total.backward()
    with torch.no_grad():
        draw = drawn(batch, network, params)
        left = (1 - draw.t)[:, None, None, None]
        by_estimate = gradient_by_formula(batch, draw.x_t + left * network.output)
        by_estimate[~ASKED[states]] = 0
        cells = draw.x_t[0, 0].numel()
        error = network.output - draw.target + 4.0 * cells * by_estimate
        weight = draw.weight[:, None, None, None]
        expected = 2.0 * 2 * weight * error / error.numel()
        expected += anchor_weight * left * by_estimate / (N * SHARES[states])
    torch.testing.assert_close(network.output.grad, expected, rtol=1e-3, atol=1e-8)


def test_a_correction_does_not_fade_towards_the_mask_as_the_loss_does(
    batch: TrainingSample,
) -> None:
    # One estimate from two times: only the way that is left differs.
    batch = part_of(batch, torch.tensor([0, 0]))
    batch["uniform"] = torch.tensor([0.445, 0.8455])

    def gradient(**changes: float) -> Tensor:
        params = flow(own_states=None, anchor_states="all", **changes)
        draw = drawn(batch, Field(), params)
        assert draw.t.tolist() == pytest.approx([0.1, 0.99], abs=1e-3)
        left = (1 - draw.t)[:, None, None, None]
        network = Answering((normal(7)[:1] - draw.x_t) / left)
        flow_losses(network, TASK, batch, params).total.backward()
        assert network.output.grad is not None
        return network.output.grad

    none = gradient(anchor_loss_weight=0.0)
    corrected = gradient(anchor_loss_weight=0.0, correction_weight=1e3) - none
    lost = gradient(anchor_loss_weight=1e3) - none
    assert float(corrected[0].norm() / corrected[1].norm()) == pytest.approx(1, rel=1e-2)
    assert float(lost[0].norm() / lost[1].norm()) == pytest.approx(90, rel=0.1)


@torch.no_grad()
@pytest.mark.parametrize("states", ["image", "all"])
def test_between_standardised_ends_path_and_target_are_theirs_and_the_estimate_is_turned_back(
    batch: TrainingSample, states: str
) -> None:
    x_0, x_1 = end_points(AUTOENCODER, batch, "mode", TASK.noise)
    ends = Ends.of(x_0, x_1)
    params, network = flow(own_states=None, anchor_states=states), Field()
    found = flow_losses(network, replace(TASK, ends=ends), batch, params)
    scales = [(x.mean(dim=(0, 2, 3)), x.std(dim=(0, 2, 3))) for x in (x_0, x_1)]
    start, end = (
        (x - mean[:, None, None]) / deviation[:, None, None]
        for x, (mean, deviation) in zip((x_0, x_1), scales, strict=True)
    )
    draw = drawn(batch, network, params)
    t = draw.t[:, None, None, None]
    x_t = (1 - t) * start + t * end
    output = network(x_t, draw.t)
    assert float(found.velocity) == pytest.approx(
        float((output - (end - start)).square().mean()), rel=1e-4
    )
    mean, deviation = scales[1]
    estimate = (x_t + (1 - t) * output) * deviation[:, None, None] + mean[:, None, None]
    losses = cross_entropies(batch, estimate)
    share = 0.4 if states == "image" else 0.85
    expected = losses[ASKED[states]].sum() / (N * share)
    assert float(found.anchor) == pytest.approx(float(expected), rel=1e-4)


def test_weights_of_channels_are_one_unless_ends_are_standardised_and_the_loss_in_units() -> None:
    units = flow(preconditioning=PreconditioningParams(samples=1, loss_power=0.5))
    assert channel_weights(None, units) == 1
    assert channel_weights(Ends(3), FLOW) == 1


def test_weights_of_channels_by_hand() -> None:
    # Both ends' deviations are 3 and 4, and 0 and 1: together 5 and 1, their mean square 13.
    ends = Ends(2)
    ends.deviation.data.copy_(torch.tensor([[3.0, 0.0], [4.0, 1.0]]))
    for power, expected in (
        (0.0, [5 / 13**0.5, 1 / 13**0.5]),
        (0.5, [(5 / 13**0.5) ** 0.5, (1 / 13**0.5) ** 0.5]),
        (1.0, [1.0, 1.0]),
    ):
        params = flow(preconditioning=PreconditioningParams(samples=1, loss_power=power))
        found = channel_weights(ends, params)
        assert isinstance(found, Tensor)
        assert found.shape == (2, 1, 1)
        assert found.flatten().tolist() == pytest.approx(expected)


@torch.no_grad()
def test_errors_between_standardised_ends_are_multiplied_by_their_channels_weights(
    batch: TrainingSample,
) -> None:
    x_0, x_1 = end_points(AUTOENCODER, batch, "mode", TASK.noise)
    ends = Ends.of(x_0 * torch.linspace(1, 9, CHANNELS)[:, None, None], x_1)
    start, end = ends.image_in(x_0), ends.mask_in(x_1)
    statistics = latent_statistics(start, end)
    params = flow(
        own_states=None,
        anchor_loss_weight=0.0,
        preconditioning=PreconditioningParams(samples=1, loss_power=0.25),
    )
    batch["uniform"] = torch.zeros(N)
    network = Field()
    found = flow_losses(network, replace(TASK, ends=ends, statistics=statistics), batch, params)
    residual = statistics.on_path(torch.zeros(1)).residual[0]
    deviation = (ends.deviation[0] ** 2 + ends.deviation[1] ** 2).sqrt()
    relative = deviation / deviation.square().mean().sqrt()
    unit = (relative**0.75 / residual**0.25)[:, None, None]
    error = (network(start, torch.zeros(N)) - (end - start)) * unit
    assert float(found.velocity) == pytest.approx(float(error.square().mean()), rel=1e-4)


@pytest.mark.parametrize("cached", [True, False])
def test_latent_noise_is_added_to_masks_however_they_come(
    batch: TrainingSample, cached: bool
) -> None:
    if not cached:
        del batch["x_1"]
        batch["pseudo_mask"] = torch.rand(N, 3, SIZE, SIZE) * 2 - 1
        batch["mask_noise"] = torch.zeros(N, 3, SIZE, SIZE)
    _, plain = end_points(AUTOENCODER, batch, "mode", Noise(40.0))
    batch["latent_noise"] = normal(9)
    for latents in (0.0, 0.25, 2.0):
        _, noisy = end_points(AUTOENCODER, batch, "mode", Noise(40.0, latents=latents))
        torch.testing.assert_close(noisy, plain + latents * normal(9))
