"""The way from an image to its mask and back, state by state, as pictures (Fig. 6, 7)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semflow.flow.solvers import time_grid, with_last_step
from semflow.formulations.protocol import PathFormulation
from semflow.pipeline import SemFlowPipeline

Picture = NDArray[np.uint8]


def has_filmstrip(pipeline: SemFlowPipeline) -> bool:
    """Whether the flow's states lie between image and mask, so that there is something to see."""
    return isinstance(pipeline.formulation, PathFormulation)


def segmenting_grid(pipeline: SemFlowPipeline, num_steps: int) -> list[float]:
    """The num_steps + 1 times, from 0 to 1, that the checkpoint's solver visits when it segments.

    Raises:
        ValueError: num_steps below 1.
    """
    grid = time_grid(0.0, 1.0, num_steps, pipeline.config.grid_power)
    last_step_from = pipeline.config.last_step_from
    return grid if last_step_from is None else with_last_step(grid, last_step_from)


def synthesizing_grid(pipeline: SemFlowPipeline, num_steps: int) -> list[float]:
    """The num_steps + 1 times, from 1 to 0, that it visits when it synthesizes.

    Raises:
        ValueError: num_steps below 1.
    """
    return time_grid(1.0, 0.0, num_steps, pipeline.config.grid_power)


def path_states(
    pipeline: SemFlowPipeline, images: Sequence[Picture], grid: Sequence[float]
) -> list[Tensor]:
    """Where Euler's method is at each time of a grid, on its way from images to masks.

    Args:
        pipeline: Of a formulation whose state is that of the straight path.
        images: (H, W, 3) uint8 each, of the model's size.
        grid: Increasing, from 0 to 1.

    Returns:
        (N, C, h, w) for each time, in the space that the flow runs in.
    """
    x = pipeline.encode_image(torch.from_numpy(np.stack(images)).to(pipeline.device))
    return _euler_path(pipeline, x if pipeline.ends is None else pipeline.ends.image_in(x), grid)


def backward_path_states(
    pipeline: SemFlowPipeline, labels: Sequence[Picture], seed: int, grid: Sequence[float]
) -> list[Tensor]:
    """Where Euler's method is at each time of a grid, on its way from perturbed masks to images.

    Args:
        pipeline: Of a formulation whose state is that of the straight path.
        labels: (H, W) uint8 ids each, of the model's size.
        seed: Label i's perturbation follows from (seed, i), as in a synthesis of these labels.
        grid: Decreasing, from 1 to 0.

    Returns:
        (N, C, h, w) for each time, in the space that the flow runs in.
    """
    ids = torch.from_numpy(np.stack(labels)).to(pipeline.device)
    x = pipeline.encode_label(ids, pipeline.draw_noise(range(len(labels)), seed))
    return _euler_path(pipeline, x if pipeline.ends is None else pipeline.ends.mask_in(x), grid)


@torch.no_grad()
def _euler_path(pipeline: SemFlowPipeline, x: Tensor, grid: Sequence[float]) -> list[Tensor]:
    states = [x]
    for t, t_next in pairwise(grid):
        x = x + (t_next - t) * pipeline.field(x, torch.full((len(x),), t, device=x.device))
        states.append(x)
    return states


def states_at(
    states: Sequence[Tensor], grid: Sequence[float], times: Sequence[float]
) -> list[Tensor]:
    """The states at other times than the grid's; between its steps Euler's method goes straight.

    Args:
        states: One for each time of the grid.
        grid: Increasing or decreasing.
        times: Within the grid.
    """
    if grid[0] > grid[-1]:
        states, grid = states[::-1], grid[::-1]
    found = []
    for time in times:
        after = int(np.clip(np.searchsorted(grid, time), 1, len(grid) - 1))
        share = (time - grid[after - 1]) / (grid[after] - grid[after - 1])
        found.append((1 - share) * states[after - 1] + share * states[after])
    return found


def decoded_states(
    pipeline: SemFlowPipeline, states: Sequence[Tensor], shares: Sequence[float]
) -> list[Picture]:
    """States as pictures.

    Args:
        pipeline: Whose states they are.
        states: (N, C, h, w) each, in the space that the flow runs in.
        shares: How far each is on the way, from 0 at the image to 1 at the mask.

    Returns:
        (N, H, W, 3) uint8 for each state.
    """
    pictures = []
    for x, share in zip(states, shares, strict=True):
        # Between the ends the map back to latents lies between theirs.
        if pipeline.ends is not None:
            x = (1 - share) * pipeline.ends.image_out(x) + share * pipeline.ends.mask_out(x)
        pictures.append(pipeline.decode_pixels(x).cpu().numpy())
    return pictures
