from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from semflow.networks.ends import SMALLEST, Ends
from semflow.networks.statistics import latent_statistics

Pair = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Image and mask latents (50, 3, 4, 4) whose channels differ a hundredfold in deviation."""
    draws = torch.Generator().manual_seed(0)
    x_0, x_1 = torch.randn(2, 50, 3, 4, 4, generator=draws)
    deviations, means = torch.tensor([5.0, 0.5, 0.05]), torch.tensor([10.0, -1.0, 0.0])
    x_0 = x_0 * deviations[:, None, None] + means[:, None, None]
    return x_0, 2 * x_1 * deviations.flip(0)[:, None, None] - 1


def test_both_ends_have_mean_0_and_deviation_1_in_each_channel(pair: Pair) -> None:
    ends = Ends.of(*pair)
    for x in (ends.image_in(pair[0]), ends.mask_in(pair[1])):
        torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(x.std(dim=(0, 2, 3)), torch.ones(3))


def test_what_goes_in_comes_out_again(pair: Pair) -> None:
    ends = Ends.of(*pair)
    torch.testing.assert_close(ends.image_out(ends.image_in(pair[0])), pair[0])
    torch.testing.assert_close(ends.mask_out(ends.mask_in(pair[1])), pair[1])
    other = torch.randn(2, 3, 1, 5)
    torch.testing.assert_close(ends.image_in(ends.image_out(other)), other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ends.mask_in(ends.mask_out(other)), other, atol=1e-4, rtol=1e-4)


def test_scales_worked_by_hand() -> None:
    # Channel 0 of the image: 1, 3 (mean 2, deviation sqrt 2); of the mask: 0, 4 (2, sqrt 8).
    x_0, x_1 = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0])
    ends = Ends.of(x_0.view(2, 1, 1, 1), x_1.view(2, 1, 1, 1))
    assert ends.mean.tolist() == [[2], [2]]
    assert ends.deviation.flatten().tolist() == pytest.approx([2**0.5, 8**0.5])
    four = torch.full((1, 1, 1, 1), 4.0)
    assert float(ends.image_in(four)) == pytest.approx(2**0.5)
    assert float(ends.mask_in(four)) == pytest.approx(0.5**0.5)
    assert float(ends.image_out(four)) == pytest.approx(2 + 4 * 2**0.5)
    assert float(ends.mask_out(four)) == pytest.approx(2 + 4 * 8**0.5)


def test_a_constant_channel_stays_finite_and_comes_back(pair: Pair) -> None:
    x_1 = torch.full_like(pair[1], 0.7)
    ends = Ends.of(pair[0], x_1)
    assert ends.deviation[1].tolist() == pytest.approx([SMALLEST] * 3)
    x = ends.mask_in(x_1)
    assert float(x.abs().max()) < 1e-3
    assert torch.equal(ends.mask_out(torch.zeros_like(x)), x_1)


def test_new_ends_change_nothing(pair: Pair) -> None:
    ends = Ends(3)
    for one in (ends.image_in, ends.image_out, ends.mask_in, ends.mask_out):
        assert torch.equal(one(pair[0]), pair[0])


def test_between_standardised_ends_no_channels_gain_exceeds_one(pair: Pair) -> None:
    ends, t = Ends.of(*pair), torch.linspace(0, 1, 41)

    def largest_gain(x_0: Tensor, x_1: Tensor) -> float:
        gain = latent_statistics(x_0, x_1).on_path(t).gain
        return float(gain.diagonal(dim1=1, dim2=2).abs().max())

    assert largest_gain(*pair) > 10
    # Both ends are independent here, up to what 800 places say of it.
    assert largest_gain(ends.image_in(pair[0]), ends.mask_in(pair[1])) < 1.2


def test_ends_are_saved_and_read_and_never_trained(pair: Pair, tmp_path: Path) -> None:
    ends = Ends.of(*pair)
    ends.save_pretrained(tmp_path)
    again = Ends.from_pretrained(tmp_path, use_safetensors=True)
    assert torch.equal(again.mean, ends.mean)
    assert torch.equal(again.deviation, ends.deviation)
    assert not any(parameter.requires_grad for parameter in again.parameters())
