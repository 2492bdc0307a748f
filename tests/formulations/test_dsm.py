"""DSM by the numbers of its schedule and by an oracle that knows the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny import tiny_params
from torch import Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import Solver
from semflow.formulations.dsm import DSM, VPredictionDSM
from semflow.formulations.protocol import Randoms, normal_like
from semflow.formulations.schema import FlowParams

FLOW = tiny_params().flow
C, N = 2, 3


def normal(seed: int) -> Tensor:
    return torch.randn(N, C, 2, 2, generator=torch.Generator().manual_seed(seed))


X_0, X_1, NOISE = normal(0), normal(1), normal(2)
# Eq. 2's product of 1 - beta, with beta's root linear between those of Stable Diffusion's ends.
ALPHAS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(item) for item in range(N)]


def solver(name: str, num_steps: int) -> Solver:
    return Solver(name, num_steps, 1.0, 1e-3)


def oracle(x: Tensor, t: float) -> Tensor:
    """The noise that leads to X_1 from wherever a sampler is."""
    alpha = ALPHAS[round(t * 1000)]
    noised = x.chunk(2, dim=1)[0]
    return (noised - alpha**0.5 * X_1) / (1 - alpha) ** 0.5


def test_the_mask_is_noised_on_stable_diffusions_schedule_and_the_image_stands_beside_it() -> None:
    uniform = torch.tensor([0.0, 0.5, 0.9999])
    draw = DSM().draw(lambda x, _t: x, X_0, X_1, Randoms(uniform, NOISE), FLOW)
    noised, image = draw.x_t.chunk(2, dim=1)
    assert torch.equal(image, X_0)
    assert torch.equal(draw.target, NOISE)
    assert torch.allclose(draw.t, torch.tensor([0.0, 0.5, 0.999]))
    for row, step in enumerate((0, 500, 999)):
        expected = ALPHAS[step] ** 0.5 * X_1[row] + (1 - ALPHAS[step]) ** 0.5 * NOISE[row]
        torch.testing.assert_close(noised[row], expected, rtol=1e-4, atol=1e-5)


def test_the_true_noise_gives_the_true_mask_back() -> None:
    uniform = torch.tensor([0.0, 0.3, 0.8])
    draw = DSM().draw(lambda x, _t: x, X_0, X_1, Randoms(uniform, NOISE), FLOW)
    torch.testing.assert_close(DSM().mask_estimate(draw, NOISE), X_1, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
@pytest.mark.parametrize("num_steps", [1, 2, 7, 50])
def test_a_network_that_knows_the_mask_leads_to_it_in_any_number_of_steps(
    name: str, num_steps: int
) -> None:
    found = DSM().to_mask(oracle, X_0, solver(name, num_steps), generators())
    # The scheduler ends at its first time, which has a deviation of 0.029 of noise left.
    torch.testing.assert_close(found, X_1, rtol=0, atol=0.1)


def v_oracle(x: Tensor, t: float) -> Tensor:
    """The answer by v that leads to X_1 from wherever a sampler is."""
    alpha = ALPHAS[round(t * 1000)]
    return alpha**0.5 * oracle(x, t) - (1 - alpha) ** 0.5 * X_1


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
@pytest.mark.parametrize("num_steps", [1, 7])
def test_v_leads_where_the_noise_leads(name: str, num_steps: int) -> None:
    by_noise = DSM().to_mask(oracle, X_0, solver(name, num_steps), generators())
    by_v = VPredictionDSM().to_mask(v_oracle, X_0, solver(name, num_steps), generators())
    torch.testing.assert_close(by_v, by_noise, rtol=1e-3, atol=1e-3)


def test_v_is_the_noise_less_the_mask_each_by_the_others_share() -> None:
    uniform = torch.tensor([0.0, 0.5, 0.9999])
    draw = VPredictionDSM().draw(lambda x, _t: x, X_0, X_1, Randoms(uniform, NOISE), FLOW)
    assert torch.equal(
        draw.x_t, DSM().draw(lambda x, _t: x, X_0, X_1, Randoms(uniform, NOISE), FLOW).x_t
    )
    for row, step in enumerate((0, 500, 999)):
        expected = ALPHAS[step] ** 0.5 * NOISE[row] - (1 - ALPHAS[step]) ** 0.5 * X_1[row]
        torch.testing.assert_close(draw.target[row], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(VPredictionDSM().mask_estimate(draw, draw.target), X_1)


def test_every_number_of_steps_begins_at_the_noisiest_time_and_asks_as_often() -> None:
    for num_steps in (1, 4, 25):
        times: list[float] = []

        def noted(x: Tensor, t: float, times: list[float] = times) -> Tensor:
            times.append(t)
            return oracle(x, t)

        DSM().to_mask(noted, X_0, solver("ddim", num_steps), generators())
        assert len(times) == num_steps
        assert times[0] == 0.999
        assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_a_sample_draws_its_own_noise_whatever_its_batch(name: str) -> None:
    def network(x: Tensor, t: float) -> Tensor:
        return (x[:, :C] + t).sin()

    whole = DSM().to_mask(network, X_0, solver(name, 5), generators())
    single = DSM().to_mask(network, X_0[1:2], solver(name, 5), generators()[1:2])
    torch.testing.assert_close(single[0], whole[1])
    other = [torch.Generator().manual_seed(9) for _ in range(N)]
    assert not torch.allclose(whole, DSM().to_mask(network, X_0, solver(name, 5), other))


def test_noise_is_drawn_sample_by_sample() -> None:
    drawn = normal_like(X_0, generators())
    assert drawn.shape == X_0.shape
    assert torch.equal(drawn[2], torch.randn(C, 2, 2, generator=torch.Generator().manual_seed(2)))


def test_there_is_no_way_from_mask_to_image() -> None:
    with pytest.raises(UserError, match="dsm segments and does not synthesize"):
        DSM().to_image(oracle, X_1, solver("ddim", 1), generators())


@pytest.mark.parametrize(
    ("name", "value"),
    [("own_states", {"share": 0.5, "until": 0.5, "max_steps": 2}), ("probability_at_image", 0.1)],
)
def test_terms_of_the_flow_are_refused(name: str, value: object) -> None:
    plain = {
        **FLOW.model_dump(),
        "formulation": "dsm",
        "probability_at_image": 0,
        "probability_at_mask": 0,
        "t_power": 1,
        "bridge_noise": 0,
        "own_states": None,
        "preconditioning": None,
        "anchor_loss_weight": 0,
        "anchor_states": "image",
        "correction_weight": 0,
    }
    FlowParams.model_validate(plain)
    with pytest.raises(ValueError, match=f"dsm takes {name}: "):
        FlowParams.model_validate({**plain, name: value})
