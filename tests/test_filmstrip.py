from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tiny import random_images, random_label, tiny_pipeline

from semflow.filmstrip import (
    backward_path_states,
    decoded_states,
    path_states,
    segmenting_grid,
    states_at,
    synthesizing_grid,
)
from semflow.flow.solvers import uniform_grid
from semflow.networks.ends import Ends
from semflow.pipeline import SemFlowPipeline


def with_ends() -> SemFlowPipeline:
    """A pipeline whose two ends differ in mean and deviation."""
    draws = torch.Generator().manual_seed(0)
    x_0, x_1 = (
        scale * torch.randn((4, 48, 4, 4), generator=draws) + mean
        for scale, mean in ((0.2, 0.1), (2.0, -1.0))
    )
    return tiny_pipeline(moving=True, ends=Ends.of(x_0, x_1))


@pytest.mark.parametrize(
    ("num_steps", "last_step_from", "power", "expected"),
    [
        (4, None, 1.0, [0, 0.25, 0.5, 0.75, 1]),
        (2, None, 2.0, [0, 0.25, 1]),
        (5, 0.2, 1.0, [0, 0.05, 0.1, 0.15, 0.2, 1]),
        (1, 0.2, 1.0, [0, 1]),
    ],
)
def test_the_grid_is_that_of_the_checkpoint(
    num_steps: int, last_step_from: float | None, power: float, expected: list[float]
) -> None:
    pipeline = tiny_pipeline()
    pipeline.register_to_config(last_step_from=last_step_from, grid_power=power)
    assert segmenting_grid(pipeline, num_steps) == pytest.approx(expected)


@pytest.mark.parametrize("last_step_from", [None, 0.3])
def test_a_path_begins_at_the_image_and_ends_where_the_solver_does(
    last_step_from: float | None,
) -> None:
    pipeline = with_ends()
    pipeline.register_to_config(last_step_from=last_step_from)
    images = list(random_images(2))
    states = path_states(pipeline, images, segmenting_grid(pipeline, 5))
    x_0 = pipeline.encode_image(torch.from_numpy(np.stack(images)))
    assert pipeline.ends is not None
    assert torch.equal(states[0], pipeline.ends.image_in(x_0))
    end = pipeline.to_mask(x_0, 5, "euler")
    assert torch.allclose(pipeline.ends.mask_out(states[-1]), end, atol=1e-5)
    assert len(states) == 6


def test_between_two_steps_the_state_lies_on_the_straight_line() -> None:
    grid = [0.0, 0.1, 1.0]
    states = [torch.tensor([0.0]), torch.tensor([10.0]), torch.tensor([28.0])]
    found = states_at(states, grid, [0, 0.05, 0.1, 0.55, 1])
    assert [float(one) for one in found] == pytest.approx([0, 5, 10, 19, 28])


def test_both_ends_are_decoded_by_maps_of_their_own() -> None:
    pipeline = with_ends()
    images = list(random_images(2))
    states = path_states(pipeline, images, uniform_grid(0.0, 1.0, 3))
    first, last = decoded_states(pipeline, [states[0], states[-1]], [0.0, 1.0])
    assert np.abs(first.astype(int) - np.stack(images)).max() <= 1
    assert pipeline.ends is not None
    end = pipeline.decode_pixels(pipeline.ends.mask_out(states[-1])).numpy()
    assert np.array_equal(last, end)


def test_a_path_back_begins_at_the_perturbed_mask_and_ends_at_the_synthesis() -> None:
    pipeline = with_ends()
    pipeline.register_to_config(grid_power=2.0)
    labels = [random_label(number) for number in range(2)]
    grid = synthesizing_grid(pipeline, 4)
    assert grid == pytest.approx([1, 9 / 16, 1 / 4, 1 / 16, 0])
    states = backward_path_states(pipeline, labels, 7, grid)
    middle, last = decoded_states(
        pipeline, states_at(states, grid, [0.125 + 1 / 32, 0.0]), [0.5, 0.0]
    )
    made = pipeline.synthesize(labels, 4, "euler", seed=7)
    assert np.array_equal(last, np.stack([np.asarray(image) for image in made]))
    assert len(states) == 5
    # Halfway between the states at 1/4 and 1/16.
    assert torch.allclose(
        states_at(states, grid, [0.125 + 1 / 32])[0], (states[2] + states[3]) / 2, atol=1e-6
    )
    assert middle.shape == last.shape
