from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_data import BACKBONE
from torch import Tensor, nn

from semflow.networks.statistics import LatentStatistics, latent_statistics
from semflow.networks.velocity import PreconditionedField, VelocityField, scratch_unet

CHANNELS = 3


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor]:
    """Image and mask latents that differ in scale, and say something of each other."""
    draws = torch.Generator().manual_seed(0)
    x_0 = torch.randn(40, CHANNELS, 8, 8, generator=draws) * torch.tensor([4, 1, 0.1]).view(3, 1, 1)
    x_1 = torch.randn(40, CHANNELS, 8, 8, generator=draws) * 2 + 0.5 * x_0.flip(1) + 1
    return x_0, x_1


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_linear_guess_is_that_of_least_squares(pairs: tuple[Tensor, Tensor], t: float) -> None:
    x_0, x_1 = pairs
    x_t, velocity = (
        value.permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
        for value in ((1 - t) * x_0 + t * x_1, x_1 - x_0)
    )
    design = np.concatenate([x_t, np.ones((len(x_t), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, velocity, rcond=None)
    left = velocity - design @ solution

    known = latent_statistics(x_0, x_1).on_path(torch.tensor([t]))
    guess = known.drift + (torch.from_numpy(x_t).float() - known.mean) @ known.gain[0].mT
    np.testing.assert_allclose(guess.numpy(), design @ solution, atol=2e-3)
    np.testing.assert_allclose(known.residual[0].numpy(), left.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(known.deviation[0].numpy(), x_t.std(axis=0), rtol=1e-3)
    np.testing.assert_allclose(known.mean[0].numpy(), x_t.mean(axis=0), atol=1e-4)


def test_a_new_preconditioned_field_is_the_linear_guess_at_each_samples_own_time(
    pairs: tuple[Tensor, Tensor],
) -> None:
    statistics = latent_statistics(*pairs)
    backbone = VelocityField(scratch_unet(BACKBONE, 0, CHANNELS, CHANNELS), torch.zeros(1, 1, 8))
    field = PreconditionedField(backbone, statistics)
    x, t = torch.randn(2, CHANNELS, 8, 8), torch.tensor([0.2, 0.9])
    found = field(x, t)
    for n in range(2):
        known = statistics.on_path(t[n : n + 1])
        for place in ((0, 0), (3, 5)):
            pixel = x[n, :, place[0], place[1]]
            expected = known.drift + known.gain[0] @ (pixel - known.mean[0])
            torch.testing.assert_close(found[n, :, place[0], place[1]], expected)


def test_the_backbone_sees_like_sizes_and_answers_in_units_of_what_is_left(
    pairs: tuple[Tensor, Tensor],
) -> None:
    class Recording(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            self.seen = x
            return torch.ones_like(x)

    statistics = latent_statistics(*pairs)
    recording = Recording()
    t = torch.full((40,), 0.25)
    x_t = torch.lerp(*pairs, 0.25)
    known = statistics.on_path(t[:1])
    moved = PreconditionedField(recording, statistics)(x_t, t)  # type: ignore[arg-type]
    torch.testing.assert_close(
        recording.seen.std(dim=(0, 2, 3)), known.deviation[0].sqrt(), rtol=1e-3, atol=1e-3
    )
    linear = torch.einsum("ij,njhw->nihw", known.gain[0], x_t - known.mean[0].view(3, 1, 1))
    correction = moved - linear - known.drift.view(3, 1, 1)
    expected = known.residual[0].view(3, 1, 1).expand_as(correction)
    torch.testing.assert_close(correction, expected, rtol=1e-3, atol=1e-3)


def test_masks_that_fill_one_dimension_only_leave_every_number_finite() -> None:
    x_1 = torch.randn(10, 1, 4, 4).expand(-1, CHANNELS, -1, -1)
    known = latent_statistics(torch.randn(10, CHANNELS, 4, 4), x_1).on_path(torch.ones(1))
    assert all(bool(value.isfinite().all()) for value in known)


def test_statistics_are_saved_and_read_and_never_trained(
    pairs: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    statistics = latent_statistics(*pairs)
    statistics.save_pretrained(tmp_path)
    again = LatentStatistics.from_pretrained(tmp_path, use_safetensors=True)
    assert torch.equal(again.covariance, statistics.covariance)
    assert torch.equal(again.mean, statistics.mean)
    assert not any(parameter.requires_grad for parameter in again.parameters())
