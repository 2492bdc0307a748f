"""What every formulation in the registry keeps to, whatever it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from support.tiny import tiny_params
from torch import Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import Solver
from semflow.formulations.protocol import Draw, Formulation, PathFormulation, Randoms
from semflow.formulations.registry import FORMULATIONS
from semflow.formulations.schema import WAYS, FlowParams

C, N = 4, 6
FLOW = tiny_params().flow

pytestmark = pytest.mark.parametrize("formulation", FORMULATIONS.values(), ids=FORMULATIONS)


def normal(seed: int) -> Tensor:
    return torch.randn(N, C, 2, 3, generator=torch.Generator().manual_seed(seed))


X_0, X_1, NOISE = normal(0), normal(1), normal(2)
UNIFORM = torch.tensor([0.0, 0.3, 0.5, 0.6, 0.8, 0.99])


def draw_of(formulation: Formulation, items: slice = slice(None)) -> Draw:
    count = formulation.noises(FLOW)
    noise = torch.cat([NOISE[items]] * count, dim=1) if count else None
    randoms = Randoms(UNIFORM[items], noise)
    return formulation.draw(lambda x, _t: x, X_0[items], X_1[items], randoms, FLOW)


def generators(formulation: Formulation, items: slice = slice(None)) -> list[torch.Generator]:
    if not formulation.starts_from_noise:
        return []
    return [torch.Generator().manual_seed(item) for item in range(N)[items]]


def directions(formulation: Formulation) -> list[tuple[Callable[..., Tensor], Tensor]]:
    """The ways that it goes, each with where it starts."""
    ways = [
        (formulation.segments, formulation.to_mask, X_0),
        (formulation.synthesizes, formulation.to_image, X_1),
    ]
    return [(solve, start) for goes, solve, start in ways if goes]


class Network:
    """Answers with something of the right shape; notes what it was asked."""

    def __init__(self, formulation: Formulation) -> None:
        self._inputs = formulation.in_channels(C)
        self._outputs = formulation.out_channels(C)
        self.times: list[float] = []

    def __call__(self, x: Tensor, t: float) -> Tensor:
        assert x.shape[1:] == (self._inputs, 2, 3)
        self.times.append(t)
        channels = x.mean(dim=1, keepdim=True) + torch.arange(self._outputs)[:, None, None]
        return (channels + t).sin()


def test_it_is_registered_under_its_name_which_the_schema_knows(formulation: Formulation) -> None:
    assert FORMULATIONS[formulation.name] is formulation
    assert formulation.name in get_args(FlowParams.model_fields["formulation"].annotation)


def test_it_has_samplers_of_different_names(formulation: Formulation) -> None:
    assert len(set(formulation.samplers)) == len(formulation.samplers) > 0


def test_a_draw_has_the_shapes_of_the_networks_ends(formulation: Formulation) -> None:
    draw = draw_of(formulation)
    assert draw.x_t.shape == (N, formulation.in_channels(C), 2, 3)
    assert draw.target.shape == (N, formulation.out_channels(C), 2, 3)
    assert draw.t.shape == draw.unit_t.shape == draw.own.shape == (N,)
    assert draw.weight.shape in ((N,), (N, formulation.out_channels(C), 1, 1))
    assert draw.own.dtype == torch.bool
    for value in (draw.x_t, draw.t, draw.target, draw.weight, draw.unit_t):
        assert value.dtype == torch.float32
        assert value.isfinite().all()
    for time in (draw.t, draw.unit_t):
        assert ((time >= 0) & (time <= 1)).all()
    assert (draw.weight >= 0).all()
    assert draw.weight.any()


def test_a_draw_follows_from_its_arguments_sample_by_sample(formulation: Formulation) -> None:
    torch.manual_seed(0)
    whole = draw_of(formulation)
    torch.manual_seed(1)
    for n in range(N):
        single = draw_of(formulation, slice(n, n + 1))
        for name in ("x_t", "t", "target", "weight", "unit_t", "own"):
            torch.testing.assert_close(getattr(single, name)[0], getattr(whole, name)[n])


def test_an_estimate_of_the_mask_is_mask_latents_and_passes_gradients(
    formulation: Formulation,
) -> None:
    if not formulation.segments:
        pytest.skip("it estimates no mask")
    draw = draw_of(formulation)
    output = torch.zeros_like(draw.target, requires_grad=True)
    estimate = formulation.mask_estimate(draw, output)
    assert estimate.shape == X_1.shape
    # It has to reach the network where segmentation starts: at t = 0, or DSM's noise at the last t.
    at_image = draw.t == (draw.t.max() if formulation.name in ("dsm", "dsm_v") else 0)
    assert at_image.any()
    estimate[at_image].sum().backward()
    assert output.grad is not None
    assert output.grad[at_image].any()
    assert output.grad.isfinite().all()


def test_every_sampler_goes_all_its_ways_between_latents(formulation: Formulation) -> None:
    network = Network(formulation)
    for sampler in formulation.samplers:
        for solver in (Solver(sampler, 1, 1.0, 1e-3), Solver(sampler, 3, 2.0, 1e-3)):
            for solve, start in directions(formulation):
                end = solve(network, start, solver, generators(formulation))
                assert end.shape == X_0.shape
                assert end.isfinite().all()
    assert network.times
    assert all(0 <= t <= 1 for t in network.times)


def test_it_goes_one_way_at_least_and_refuses_the_other_in_a_line(
    formulation: Formulation,
) -> None:
    assert (formulation.segments, formulation.synthesizes) == WAYS[formulation.name]
    assert directions(formulation)
    network, solver = Network(formulation), Solver(formulation.samplers[0], 1, 1.0, 1e-3)
    for goes, solve in (
        (formulation.segments, formulation.to_mask),
        (formulation.synthesizes, formulation.to_image),
    ):
        if not goes:
            with pytest.raises(UserError, match=f"^{formulation.name} .* does not .*checkpoint$"):
                solve(network, X_0, solver, generators(formulation))


def test_solving_follows_from_its_arguments_sample_by_sample(formulation: Formulation) -> None:
    network = Network(formulation)
    for sampler in formulation.samplers:
        solver = Solver(sampler, 3, 1.0, 1e-3)
        for solve, start in directions(formulation):
            torch.manual_seed(0)
            whole = solve(network, start, solver, generators(formulation))
            torch.manual_seed(1)
            part = slice(2, 3)
            single = solve(network, start[part], solver, generators(formulation, part))
            torch.testing.assert_close(single, whole[part])


def test_masks_ahead_are_mask_latents_for_every_time_and_begin_alike(
    formulation: Formulation,
) -> None:
    if not isinstance(formulation, PathFormulation):
        pytest.skip("there is no way between image and mask to compare on")
    times = (0.0, 0.04, 0.5)
    ahead = formulation.masks_ahead(Network(formulation), X_0, X_1, times, 3)
    for masks in ahead:
        assert [mask.shape for mask in masks] == [X_1.shape] * len(times)
    # Both are at the image to begin with; later the true state knows of the mask.
    true, own = ahead
    assert torch.equal(true[0], own[0])
    assert not torch.equal(true[2], own[2])
