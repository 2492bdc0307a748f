"""States that the network gets to by itself, in place of points on the path."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tiny import tiny_params
from torch import Tensor

from semflow.flow.paths import bridge_sample, draw_t, path_sample
from semflow.flow.solvers import euler_step, solve, uniform_grid
from semflow.formulations.protocol import Draw, Randoms
from semflow.formulations.schema import OwnStatesParams
from semflow.formulations.semflow import SemFlow, roll_out, with_own_states

FLOW = tiny_params().flow
OWN = FLOW.model_copy(
    update={"own_states": OwnStatesParams(share=0.5, until=0.8, max_steps=3), "bridge_noise": 0.4}
)
N = 6
NONE, SOME, ALL = (torch.tensor(rows).bool() for rows in ([0] * N, [0, 1, 0, 0, 1, 1], [1] * N))


class Network:
    """Some velocity with one parameter; notes each call's rows, and whether gradients flow."""

    def __init__(self) -> None:
        self.weight = torch.ones((), requires_grad=True)
        self.rows: list[int] = []
        self.recording: list[bool] = []

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        self.rows.append(len(x))
        self.recording.append(torch.is_grad_enabled())
        return self.weight * (x + 2 * t[:, None, None, None]).sin()


def normal(seed: int) -> Tensor:
    return torch.randn(N, 3, 2, 4, generator=torch.Generator().manual_seed(seed))


X_0, X_1, NOISE = normal(0), normal(1), normal(2)
TIMES = torch.tensor([0.1, 0.2, 0.35, 0.5, 0.75, 0.999])


def on_path() -> Draw:
    path = path_sample(X_0, X_1, TIMES)
    ones = torch.ones(N)
    return Draw(path.x_t, TIMES, path.velocity, ones, TIMES, torch.zeros(N).bool())


def moved(own: Tensor, num_steps: int = 3) -> Draw:
    return with_own_states(on_path(), own, Network(), X_0, X_1, num_steps)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_a_state_is_where_the_euler_solver_gets_to_at_the_samples_own_time(num_steps: int) -> None:
    network = Network()
    states = roll_out(network, X_0, TIMES, num_steps)

    def velocity(x: Tensor, t: float) -> Tensor:
        return network(x, torch.full((len(x),), t))

    for n in range(N):
        grid = uniform_grid(0.0, float(TIMES[n]), num_steps)
        expected = solve(velocity, X_0[n : n + 1], grid, euler_step)
        torch.testing.assert_close(states[n : n + 1], expected)


def test_a_state_of_two_steps_by_hand() -> None:
    # v = x + t from x = 1 to t = 0.4: 1 + 0.2 * 1 = 1.2, then 1.2 + 0.2 * (1.2 + 0.2) = 1.48.
    state = roll_out(
        lambda x, t: x + t[:, None, None, None], torch.ones(1, 1, 1, 1), torch.tensor([0.4]), 2
    )
    assert float(state) == pytest.approx(1.48)


@pytest.mark.parametrize("own", [SOME, ALL])
def test_own_rows_are_the_networks_states_and_lead_to_the_mask_in_one_step(own: Tensor) -> None:
    draw = moved(own)
    assert torch.equal(draw.own, own)
    torch.testing.assert_close(draw.x_t[own], roll_out(Network(), X_0, TIMES, 3)[own])
    # Near t = 1 what is left of the way is divided by a thousandth.
    ends = SemFlow().mask_estimate(draw, draw.target)[own]
    torch.testing.assert_close(ends, X_1[own], atol=1e-4, rtol=1e-4)


def test_the_weighted_error_of_a_velocity_is_the_error_of_the_end_it_leads_to() -> None:
    draw, output = moved(ALL), normal(3)
    error = draw.weight[:, None, None, None] * (output - draw.target).square()
    expected = (SemFlow().mask_estimate(draw, output) - X_1).square()
    torch.testing.assert_close(error, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(draw.weight, (1 - TIMES).square())
    # In units of the image's end, whatever the sample's own time.
    assert not draw.unit_t.any()


@pytest.mark.parametrize("own", [NONE, SOME])
def test_rows_that_are_not_own_stay_as_they_were(own: Tensor) -> None:
    before, draw = on_path(), moved(own)
    for name in ("x_t", "t", "target", "weight", "unit_t"):
        assert torch.equal(getattr(draw, name)[~own], getattr(before, name)[~own])
    assert torch.equal(draw.t, before.t)


@pytest.mark.parametrize("own", [NONE, SOME, ALL])
@pytest.mark.parametrize("num_steps", [1, 4])
def test_the_network_is_asked_as_often_whatever_is_drawn(own: Tensor, num_steps: int) -> None:
    network = Network()
    with_own_states(on_path(), own, network, X_0, X_1, num_steps)
    # Of no rows a network in shards could not be asked.
    assert network.rows == [max(int(own.sum()), 1)] * num_steps


def test_no_gradient_flows_through_the_way_there() -> None:
    network = Network()
    draw = with_own_states(on_path(), SOME, network, X_0, X_1, 2)
    assert network.recording == [False, False]
    assert not any(value.requires_grad for value in (draw.x_t, draw.target, draw.weight))
    assert torch.is_grad_enabled()


def test_nothing_but_its_own_row_moves_a_sample() -> None:
    whole = moved(SOME)
    for n in range(N):
        part = slice(n, n + 1)
        before = on_path()
        single = with_own_states(
            Draw(**{name: getattr(before, name)[part] for name in vars(before)}),
            SOME[part],
            Network(),
            X_0[part],
            X_1[part],
            3,
        )
        for name in vars(before):
            torch.testing.assert_close(getattr(single, name), getattr(whole, name)[part])


UNIFORM = torch.tensor([0.0, 0.45, 0.5, 0.6, 0.8, 0.99])
"""With shares of 0.4 and 0.15: one at the image, four between, one at the mask."""
OWN_UNIFORM = torch.tensor([0.1, 0.49, 0.5, 0.2, 0.7, 0.1])


def test_own_are_the_shares_lowest_draws_between_the_ends() -> None:
    draw = SemFlow().draw(Network(), X_0, X_1, Randoms(UNIFORM, None, OWN_UNIFORM, 2), OWN)
    assert draw.own.tolist() == [False, True, False, True, False, False]
    # They lie before `until`, each as far along as its draw between the ends was.
    t = 0.8 * draw_t(UNIFORM, 0.4, 0.15)
    assert torch.equal(draw.t[draw.own], t[draw.own])
    torch.testing.assert_close(draw.x_t[draw.own], roll_out(Network(), X_0, t, 2)[draw.own])


def test_without_the_parameter_or_its_draws_the_network_is_not_asked() -> None:
    network = Network()
    for randoms, params in ((Randoms(UNIFORM), OWN), (Randoms(UNIFORM, None, OWN_UNIFORM), FLOW)):
        draw = SemFlow().draw(network, X_0, X_1, randoms, params)
        assert not draw.own.any()
        assert torch.equal(draw.unit_t, draw.t)
    assert network.rows == []


def test_a_draw_with_noise_is_on_a_bridge_except_where_it_is_own() -> None:
    assert SemFlow().noises(OWN) == 1
    randoms = Randoms(UNIFORM, NOISE, OWN_UNIFORM, 2)
    draw = SemFlow().draw(Network(), X_0, X_1, randoms, OWN)
    plain = SemFlow().draw(Network(), X_0, X_1, Randoms(UNIFORM, None, OWN_UNIFORM, 2), OWN)
    bridge = bridge_sample(path_sample(X_0, X_1, draw.t), NOISE, 0.4)
    assert torch.equal(draw.x_t[~draw.own], bridge.x_t[~draw.own])
    assert torch.equal(draw.target[~draw.own], bridge.velocity[~draw.own])
    assert torch.equal(draw.x_t[draw.own], plain.x_t[draw.own])
    assert torch.equal(draw.target[draw.own], plain.target[draw.own])
    assert not torch.equal(draw.x_t, plain.x_t)


def test_a_draw_takes_the_power_of_t() -> None:
    squared = FLOW.model_copy(update={"t_power": 2.0})
    draw = SemFlow().draw(Network(), X_0, X_1, Randoms(UNIFORM), squared)
    assert torch.equal(draw.t, draw_t(UNIFORM, 0.4, 0.15).square())
    assert torch.equal(draw.x_t, path_sample(X_0, X_1, draw.t).x_t)


@given(
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.sampled_from(["image", "own", "all"]),
)
def test_the_anchors_share_is_that_of_the_draws_they_are_asked_at(
    at_image: float, at_mask: float, share: float, states: str
) -> None:
    params = FLOW.model_copy(
        update={
            "probability_at_image": at_image,
            "probability_at_mask": at_mask,
            "own_states": OwnStatesParams(share=share, until=0.8, max_steps=1),
            "anchor_states": states,
        }
    )
    # A grid of all pairs of draws stands for their distribution.
    uniform = (torch.arange(400) + 0.5) / 400
    t = draw_t(uniform, at_image, at_mask)[:, None]
    own = (t > 0) & (t < 1) & (uniform[None] < share)
    asked = {"image": t == 0, "own": (t == 0) | own, "all": t < 1}[states]
    found = float(asked.expand(400, 400).float().mean())
    assert params.anchor_share == pytest.approx(found, abs=0.01)


def test_without_own_states_the_anchors_share_knows_only_the_path() -> None:
    shares = {
        states: FLOW.model_copy(update={"anchor_states": states}).anchor_share
        for states in ("image", "all")
    }
    assert shares == pytest.approx({"image": 0.4, "all": 0.85})
