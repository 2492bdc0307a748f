"""BBDM by the paper's formulas recomputed, by an oracle that knows the image, and trained."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.tiny import CHANNELS, TinyDataset, flow_inputs, random_label, tiny_params, train_stage
from torch import Tensor

from semflow.core.errors import UserError
from semflow.flow.solvers import Solver
from semflow.formulations.bbdm import BBDM, ETAS, step
from semflow.formulations.protocol import Draw, Randoms
from semflow.formulations.schema import FlowParams
from semflow.params.recipes import merge, read_recipe
from semflow.pipeline import load_pipeline
from semflow.schema import DatasetParams
from semflow.training.flow import train_flow
from tools.closure import ROOT

FLOW = tiny_params().flow
C, N = 2, 3
SAMPLERS = ["bridge", "bridge_ddim"]
ETA = st.floats(0, 1)


def times(count: int) -> st.SearchStrategy[list[float]]:
    """Different ones between the ends, from mask to image."""
    chosen = st.sets(st.integers(1, 999), min_size=count, max_size=count)
    return chosen.map(lambda steps: [k / 1000 for k in sorted(steps, reverse=True)])


def normal(seed: int) -> Tensor:
    return torch.randn(N, C, 2, 2, generator=torch.Generator().manual_seed(seed))


X_0, X_1, NOISE = normal(0), normal(1), normal(2)


def generators(first: int = 0, count: int = N) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(item) for item in range(first, first + count)]


def draw_at(*uniform: float) -> Draw:
    randoms = Randoms(torch.tensor(uniform), NOISE)
    return BBDM().draw(lambda x, _t: x, X_0, X_1, randoms, FLOW)


def oracle(x: Tensor, _t: float) -> Tensor:
    """What lies between X_0 and wherever a sampler is."""
    return x - X_0


def d(t: float) -> float:
    """The paper's variance of x_t."""
    return 2 * (t - t * t)


def test_the_bridge_is_the_papers_number_by_number() -> None:
    # t = 0.25: d = 2 (0.25 - 0.0625) = 0.375, its root 0.61237.
    one = torch.ones(1, 1, 1, 1)
    randoms = Randoms(torch.tensor([0.2495]), 2 * one)
    draw = BBDM().draw(lambda x, _t: x, one, 3 * one, randoms, FLOW)
    assert float(draw.t) == 0.25
    assert float(draw.x_t) == pytest.approx(0.75 * 1 + 0.25 * 3 + 0.61237 * 2, rel=1e-5)
    assert float(draw.target) == pytest.approx(0.25 * (3 - 1) + 0.61237 * 2, rel=1e-5)


def test_t_is_one_of_a_thousand_and_the_last_is_the_mask_itself() -> None:
    draw = draw_at(0.0, 0.5, 0.9999)
    torch.testing.assert_close(draw.t, torch.tensor([0.001, 0.501, 1.0]))
    torch.testing.assert_close(draw.x_t[2], X_1[2])
    torch.testing.assert_close(draw.target[2], X_1[2] - X_0[2])
    for row, t in enumerate((0.001, 0.501)):
        expected = (1 - t) * X_0[row] + t * X_1[row] + math.sqrt(d(t)) * NOISE[row]
        torch.testing.assert_close(draw.x_t[row], expected, rtol=1e-4, atol=1e-5)


def test_x_t_less_the_target_is_the_image() -> None:
    draw = draw_at(0.1, 0.5, 0.9)
    torch.testing.assert_close(draw.x_t - draw.target, X_0)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("num_steps", [1, 2, 7, 50])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_network_that_knows_the_image_leads_to_it_in_any_number_of_steps(
    name: str, num_steps: int, power: float
) -> None:
    found = BBDM().to_image(oracle, X_1, Solver(name, num_steps, power, 1e-3), generators())
    torch.testing.assert_close(found, X_0, rtol=0, atol=1e-6)


def test_every_number_of_steps_begins_at_the_mask_and_asks_as_often() -> None:
    for num_steps in (1, 4, 25):
        asked: list[tuple[float, Tensor]] = []

        def noted(x: Tensor, t: float, to: list[tuple[float, Tensor]] = asked) -> Tensor:
            to.append((t, x))
            return oracle(x, t)

        BBDM().to_image(noted, X_1, Solver("bridge", num_steps, 1.0, 1e-3), generators())
        expected = [1 - k / num_steps for k in range(num_steps)]
        assert [t for t, _ in asked] == pytest.approx(expected)
        assert torch.equal(asked[0][1], X_1)


@given(times(2), ETA)
def test_a_step_adds_the_papers_variance_and_keeps_the_rest_of_the_bridges(
    pair: list[float], eta: float
) -> None:
    t, u = pair
    kept, variance = step(t, u, eta)
    # d_{t|u} d_u / d_t of the chain, as the paper writes it.
    between = d(t) - d(u) * (1 - t) ** 2 / (1 - u) ** 2
    assert variance == pytest.approx(eta**2 * between * d(u) / d(t), rel=1e-6, abs=1e-12)
    # x_u is distributed as in training where x_t is, whatever eta is.
    assert kept**2 * d(t) + variance == pytest.approx(d(u), rel=1e-9)


@given(times(1), ETA)
def test_the_first_step_draws_all_of_the_bridges_variance(time: list[float], eta: float) -> None:
    [u] = time
    assert step(1.0, u, eta) == (0.0, pytest.approx(d(u)))


@given(times(3), st.sampled_from([0.0, 1.0]))
def test_two_steps_are_distributed_as_the_one_over_both(three: list[float], eta: float) -> None:
    """Of x_u given x_t and the ends: means are kept shares of x_t, variances add up."""
    t, s, u = three
    (first, added), (second, more) = step(t, s, eta), step(s, u, eta)
    kept, variance = step(t, u, eta)
    assert second * first == pytest.approx(kept, rel=1e-9)
    assert second**2 * added + more == pytest.approx(variance, rel=1e-9, abs=1e-15)


@given(times(2))
def test_with_eta_1_a_step_is_the_bridge_between_the_image_and_x_t(pair: list[float]) -> None:
    """Pinned at both: its mean is a share u / t of the way from x_0, the mask plays no part."""
    t, u = pair
    kept, variance = step(t, u, 1.0)
    assert kept == pytest.approx(u / t, rel=1e-9)
    assert variance == pytest.approx(2 * u * (t - u) / t)


@pytest.mark.parametrize("name", SAMPLERS)
def test_states_on_the_way_are_distributed_as_in_training(name: str) -> None:
    x_0, x_1 = torch.full((1, 1, 200, 200), 1.0), torch.full((1, 1, 200, 200), 3.0)
    states: dict[float, Tensor] = {}

    def noted(x: Tensor, t: float) -> Tensor:
        states[t] = x
        return x - x_0

    BBDM().to_image(noted, x_1, Solver(name, 4, 1.0, 1e-3), generators(count=1))
    for t in (0.75, 0.5, 0.25):
        # 40,000 draws: deviations of 0.0035 of the mean and of 0.007 d of the variance.
        assert float(states[t].mean()) == pytest.approx(1 + 2 * t, abs=0.015)
        assert float(states[t].var()) == pytest.approx(d(t), rel=0.03)


def test_eta_says_whether_noise_is_drawn_after_the_first_step() -> None:
    assert ETAS == {"bridge": 1.0, "bridge_ddim": 0.0}
    for name, draws in (("bridge", 3), ("bridge_ddim", 1)):
        drawn = generators(count=1)
        BBDM().to_image(oracle, X_1[:1], Solver(name, 4, 1.0, 1e-3), drawn)
        expected = generators(count=1)[0]
        for _ in range(draws):
            torch.randn(C, 2, 2, generator=expected)
        assert torch.equal(drawn[0].get_state(), expected.get_state())


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_draws_its_own_noise_whatever_its_batch(name: str) -> None:
    def network(x: Tensor, t: float) -> Tensor:
        return (x + t).sin()

    solver = Solver(name, 5, 1.0, 1e-3)
    whole = BBDM().to_image(network, X_1, solver, generators())
    single = BBDM().to_image(network, X_1[1:2], solver, generators(1, 1))
    torch.testing.assert_close(single[0], whole[1])
    assert torch.equal(whole, BBDM().to_image(network, X_1, solver, generators()))
    assert not torch.allclose(whole, BBDM().to_image(network, X_1, solver, generators(7)))


def test_there_is_no_way_from_image_to_mask() -> None:
    message = "^bbdm synthesizes and does not segment; take another checkpoint$"
    with pytest.raises(UserError, match=message):
        BBDM().to_mask(oracle, X_0, Solver("bridge", 1, 1.0, 1e-3), generators())
    draw = draw_at(0.1, 0.2, 0.3)
    with pytest.raises(UserError, match=message):
        BBDM().mask_estimate(draw, draw.target)


def with_recipe(params: DatasetParams) -> DatasetParams:
    """Small parameters with everything that the recipe changes."""
    block = params.model_dump(mode="json")
    merge(block, read_recipe("bbdm", "earth", ROOT / "recipes"))
    return DatasetParams.model_validate(block)


@pytest.mark.parametrize(
    ("name", "value"), [("anchor_loss_weight", 0.5), ("probability_at_mask", 0.1), ("t_power", 2)]
)
def test_terms_of_the_flow_are_refused(name: str, value: float) -> None:
    plain = with_recipe(tiny_params()).flow.model_dump()
    with pytest.raises(ValueError, match=f"bbdm takes {name}: "):
        FlowParams.model_validate({**plain, "anchor_states": "all", name: value})


def test_it_trains_by_the_loop_of_all_others_and_its_checkpoint_goes_one_way(
    workspace: Path, tiny_models: Path, dataset: TinyDataset, params: DatasetParams
) -> None:
    settings = with_recipe(params)
    train = {"steps": 40, "learning_rate": 0.01, "batch_size": 5}
    settings = settings.model_copy(update={"train": settings.train.model_copy(update=train)})
    inputs = flow_inputs(dataset, tiny_models, tiny_models / "masks")
    train_flow(inputs, train_stage(settings), workspace / "out")

    lines = (workspace / "logs/earth/train.jsonl").read_text("utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    # An error of 1 is that of no answer at all: the mean over t of 2 t^2 + 2 (t - t^2).
    assert losses[0] == pytest.approx(1, abs=0.4)
    assert np.mean(losses[-10:]) < 0.6
    # Rows image, label and synthesized: nothing is segmented.
    with Image.open(workspace / "logs/earth/samples/000040.png") as grid:
        assert grid.height < 4 * params.shards.image_size[0]

    pipeline = load_pipeline(workspace / "out")
    pipeline.set_progress_bar_config(disable=True)
    assert (pipeline.config.formulation, pipeline.config.solver) == ("bbdm", "bridge")
    assert (pipeline.unet.config.in_channels, pipeline.unet.config.out_channels) == (CHANNELS,) * 2
    label = random_label(0)
    [one], [again], [other] = (pipeline.synthesize(label, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    with pytest.raises(UserError, match="bbdm synthesizes and does not segment"):
        pipeline.segment(one)
    pipeline.save_pretrained(workspace / "saved")
    [reread] = load_pipeline(workspace / "saved").synthesize(label, seed=1)
    assert np.array_equal(one, reread)
