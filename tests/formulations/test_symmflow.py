"""SymmFlow's two paths, its weights, and solving with a network that knows both ends."""

from __future__ import annotations

import torch
from support.tiny import tiny_params
from torch import Tensor

from semflow.flow.solvers import Solver
from semflow.formulations.protocol import Draw, Randoms, normal_like
from semflow.formulations.symmflow import SymmFlow

FLOW = tiny_params().flow.model_copy(
    update={"probability_at_image": 0.0, "probability_at_mask": 0.0, "t_power": 1.0}
)
C, N = 2, 3


def normal(seed: int, channels: int = C) -> Tensor:
    return torch.randn(N, channels, 2, 2, generator=torch.Generator().manual_seed(seed))


X_0, X_1, NOISES = normal(0), normal(1), normal(2, 2 * C)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(item) for item in range(N)]


def draw_at(uniform: list[float]) -> Draw:
    randoms = Randoms(torch.tensor(uniform), NOISES)
    return SymmFlow().draw(lambda x, _t: x, X_0, X_1, randoms, FLOW)


def test_an_image_becomes_noise_while_noise_becomes_a_mask() -> None:
    draw = draw_at([0.0, 0.25, 0.5])
    image_noise, mask_noise = NOISES.chunk(2, dim=1)
    assert torch.equal(draw.x_t[0], torch.cat([X_0[0], mask_noise[0]]))
    quarter = torch.cat(
        [0.75 * X_0[1] + 0.25 * image_noise[1], 0.75 * mask_noise[1] + 0.25 * X_1[1]]
    )
    torch.testing.assert_close(draw.x_t[1], quarter)
    velocity = torch.cat([image_noise - X_0, X_1 - mask_noise], dim=1)
    torch.testing.assert_close(draw.target, velocity)


def test_the_loss_is_seven_tenths_of_the_image_and_three_of_the_mask() -> None:
    draw = draw_at([0.1, 0.2, 0.3])
    error = torch.cat([torch.full((N, C, 2, 2), 2.0), torch.full((N, C, 2, 2), 3.0)], dim=1)
    loss = (error.square() * draw.weight).mean()
    torch.testing.assert_close(loss, torch.tensor(0.7 * 4 + 0.3 * 9))


def test_the_true_velocity_estimates_the_true_mask() -> None:
    draw = draw_at([0.0, 0.4, 0.9])
    torch.testing.assert_close(SymmFlow().mask_estimate(draw, draw.target), X_1)


def test_a_network_that_knows_both_ends_leads_to_either() -> None:
    drawn = normal_like(X_0, generators())
    solver = Solver("euler", 3, 1.0, 1e-3)

    def to_mask(_x: Tensor, _t: float) -> Tensor:
        return torch.cat([NOISES[:, :C] - X_0, X_1 - drawn], dim=1)

    def to_image(_x: Tensor, _t: float) -> Tensor:
        return torch.cat([drawn - X_0, X_1 - NOISES[:, C:]], dim=1)

    found = SymmFlow().to_mask(to_mask, X_0, solver, generators())
    torch.testing.assert_close(found, X_1)
    made = SymmFlow().to_image(to_image, X_1, solver, generators())
    torch.testing.assert_close(made, X_0)
