"""The paper's settings, written once more: Sec. 4.1, Sec. 4.2 and supplement A of SemFlow."""

from __future__ import annotations

import pytest

from semflow.networks.schema import HubSource
from semflow.pseudo_masks.schema import BaseKPalette
from semflow.schema import read_params
from tools.closure import ROOT

PARAMS = read_params(ROOT / "params.yaml")

# Data set, image size, global batch, steps, learning rate, schedule.
PAPER = [
    ("cityscapes", (512, 1024), 256, 8_000, 5e-5, "linear"),
    ("celebamask_hq", (512, 512), 256, 80_000, 2e-5, "linear"),
    ("coco_stuff", (512, 512), 128, 320_000, 1e-5, "constant"),
]


@pytest.mark.parametrize(("name", "size", "batch", "steps", "rate", "schedule"), PAPER)
def test_sizes_and_optimisation_are_the_papers(
    name: str, size: tuple[int, int], batch: int, steps: int, rate: float, schedule: str
) -> None:
    params = PARAMS.dataset(name)
    train = params.train
    assert params.shards.image_size == size
    assert (train.batch_size, train.steps) == (batch, steps)
    assert (train.learning_rate, train.schedule) == (rate, schedule)


@pytest.mark.parametrize("name", [row[0] for row in PAPER])
def test_the_palette_is_equation_7_with_k_6_s_50_and_amplitude_6(name: str) -> None:
    params = PARAMS.dataset(name)
    assert isinstance(params.palette, BaseKPalette)
    assert (params.palette.k, params.palette.spacing) == (6, 50)
    # Eq. 14's noise is independent from pixel to pixel, and classes take colours in their order.
    noise = params.noise
    assert (noise.amplitude, noise.cells, noise.shares, noise.latents) == (6, (1,), (1,), 0)
    assert params.palette.class_order == ()


@pytest.mark.parametrize("name", [row[0] for row in PAPER])
def test_the_flow_is_equation_10_alone_with_uniform_times(name: str) -> None:
    flow = PARAMS.dataset(name).flow
    assert flow.formulation == "semflow"
    assert (flow.probability_at_image, flow.probability_at_mask) == (0, 0)
    assert (flow.velocity_loss_weight, flow.anchor_loss_weight) == (1, 0)
    assert flow.preconditioning is None


@pytest.mark.parametrize("name", [row[0] for row in PAPER])
def test_the_networks_are_stable_diffusion_1_5s_at_one_pinned_revision(name: str) -> None:
    params = PARAMS.dataset(name)
    assert isinstance(params.backbone, HubSource)
    assert isinstance(params.autoencoder, HubSource)
    assert "stable-diffusion-v1-5" in params.backbone.repo_id
    assert (params.backbone.subfolder, params.autoencoder.subfolder) == ("unet", "vae")
    assert params.backbone.revision == params.autoencoder.revision


@pytest.mark.parametrize("name", [row[0] for row in PAPER])
def test_both_directions_take_25_euler_steps(name: str) -> None:
    inference = PARAMS.dataset(name).inference
    assert (inference.solver, inference.grid_power) == ("euler", 1)
    assert (inference.segment_steps, inference.synthesize_steps) == (25, 25)


@pytest.mark.parametrize("name", [row[0] for row in PAPER])
def test_rk45_is_measured_beside_euler_as_in_figure_10(name: str) -> None:
    assert PARAMS.dataset(name).evaluate.adaptive
