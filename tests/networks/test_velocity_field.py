from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from support.tiny import same_weights
from support.tiny_data import BACKBONE
from torch import Tensor, nn

from semflow.networks.velocity import PaddingMode, VelocityField, scratch_unet, with_channels


class RecordingUnet(nn.Module):
    """Stands where a backbone stands; notes its inputs and answers in half precision."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(
        self, sample: Tensor, timestep: Tensor, prompt: Tensor, return_dict: bool
    ) -> tuple[Tensor]:
        assert not return_dict
        self.calls.append((sample, timestep, prompt))
        return ((2 * sample).half(),)


def test_time_is_passed_in_thousandths_and_the_prompt_once_for_each_sample() -> None:
    unet, prompt = RecordingUnet(), torch.randn(1, 7, 5)
    x, t = torch.randn(3, 2, 4, 4), torch.tensor([0.0, 0.25, 1.0])
    velocity = VelocityField(unet, prompt)(x, t)
    [(sample, timestep, prompts)] = unet.calls
    assert torch.equal(sample, x)
    assert timestep.tolist() == [0, 250, 1000]
    assert timestep.dtype == torch.float32
    assert prompts.shape == (3, 7, 5)
    assert all(torch.equal(each, prompt[0]) for each in prompts)
    assert velocity.dtype == torch.float32
    torch.testing.assert_close(velocity, 2 * x, atol=1e-2, rtol=1e-2)


def test_the_prompt_is_neither_trained_nor_saved_with_the_field() -> None:
    field = VelocityField(scratch_unet(BACKBONE, 0, 4, 4), nn.Parameter(torch.randn(1, 1, 8)))
    assert {name.split(".")[0] for name, _ in field.named_parameters()} == {"unet"}
    assert {name.split(".")[0] for name in field.state_dict()} == {"unet"}


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_unet(seed: int) -> None:
    params = BACKBONE.model_copy(update={"seed": seed})
    torch.manual_seed(1)
    one = scratch_unet(params, params.seed, 4, 4)
    torch.manual_seed(2)
    assert same_weights(one, scratch_unet(params, params.seed, 4, 4))
    assert not same_weights(one, scratch_unet(BACKBONE, 1, 4, 4))


def test_making_a_unet_leaves_the_global_generator_untouched() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    scratch_unet(BACKBONE, 0, 4, 4)
    assert torch.equal(torch.rand(4), expected)


def test_a_new_field_does_not_move_and_a_trained_one_heeds_x_and_t() -> None:
    unet = scratch_unet(BACKBONE, 0, 4, 6)
    field = VelocityField(unet, torch.zeros(1, 1, 8))
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 0.3])
    assert field(x, t).shape == (2, 6, 8, 8)
    assert not field(x, t).any()
    nn.init.normal_(unet.conv_out.weight)
    assert not torch.equal(field(x, t), field(x, t + 0.5))
    assert not torch.equal(field(x, t), field(x + 1, t))


def moving_unet() -> UNet2DConditionModel:
    """A U-Net for latents of four channels that answers with something."""
    unet = scratch_unet(BACKBONE, 0, 4, 4)
    nn.init.normal_(unet.conv_out.weight, generator=torch.Generator().manual_seed(0))
    return unet


@torch.no_grad()
@pytest.mark.parametrize(("inputs", "outputs"), [(8, 4), (4, 8), (12, 7)])
def test_a_widened_unet_answers_as_before_whatever_its_new_inputs_are(
    inputs: int, outputs: int
) -> None:
    unet = moving_unet()
    wider = with_channels(unet, inputs, outputs)
    assert (wider.config.in_channels, wider.config.out_channels) == (inputs, outputs)
    assert type(wider) is type(unet)
    x, t, prompt = torch.randn(3, 4, 8, 8), torch.tensor([0.0, 300.0, 1000.0]), torch.zeros(3, 1, 8)
    expected = unet(x, t, prompt).sample
    for extra in (torch.zeros(3, inputs - 4, 8, 8), torch.randn(3, inputs - 4, 8, 8)):
        found = wider(torch.cat([x, extra], dim=1), t, prompt).sample
        torch.testing.assert_close(found[:, :4], expected)
        assert not found[:, 4:].any()


def test_new_channels_of_a_widened_unet_learn() -> None:
    wider = with_channels(moving_unet(), 8, 8)
    x, t, prompt = torch.randn(2, 8, 8, 8), torch.full((2,), 500.0), torch.zeros(2, 1, 8)
    (wider(x, t, prompt).sample - 1).square().mean().backward()
    into, out = wider.conv_in.weight.grad, wider.conv_out.weight.grad
    assert (into[:, 4:].abs().amax(dim=(0, 2, 3)) > 0).all()
    assert (out[4:].abs().amax(dim=(1, 2, 3)) > 0).all()


def test_a_unet_that_has_the_channels_already_is_returned_as_it_is() -> None:
    unet = moving_unet()
    assert with_channels(unet, 4, 4) is unet
    wider = with_channels(unet, 8, 4)
    again = with_channels(unet, 8, 4)
    assert same_weights(wider, again)


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate"])
def test_without_zeros_beyond_the_border_a_plain_field_stays_plain(
    padding_mode: PaddingMode,
) -> None:
    torch.manual_seed(0)
    unet = scratch_unet(BACKBONE, 0, 3, 3)
    nn.init.normal_(unet.conv_out.weight)
    # In double precision: normalisation blows rounding errors of a plain field up.
    unet = unet.double()
    prompt, plain = torch.zeros(1, 1, 8).double(), torch.tensor([0.5, -1.0, 2.0]).double()
    plain = plain[None, :, None, None].expand(1, 3, 8, 8)
    with torch.no_grad():
        framed = VelocityField(unet, prompt)(plain, torch.zeros(1))
        found = VelocityField(unet, prompt, padding_mode)(plain, torch.zeros(1))
    assert float(framed.std(dim=(2, 3)).max()) > 0.01
    torch.testing.assert_close(found, found[:, :, :1, :1].expand_as(found), atol=1e-4, rtol=1e-4)
