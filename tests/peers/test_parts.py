from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support.tiny_data import CLASSES, SIZE
from torch import nn
from torch.utils.data import default_collate

from semflow.params.rows import PEER, ROWS_FILE, read_row
from semflow.peers.adversaries import new_adversary
from semflow.peers.layers import Discriminators, semantics_of
from semflow.peers.loop import held
from semflow.peers.losses import discriminator_loss, feature_matching, generator_loss
from semflow.peers.maskformer import MaskFormer
from semflow.peers.samples import PeerSample
from semflow.peers.sc_gan import EXPERTS, VECTOR, ComposedConvolution
from semflow.peers.schema import AdversarialParams, MaskFormerParams
from semflow.peers.spade import Spade
from semflow.peers.train import weights_of
from semflow.training.samples import TrainingSamples
from tools.closure import ROOT

K = len(CLASSES.names)
SYSTEMS = ("spade", "pix2pixhd", "sc_gan", "cycle_gan")


def batch_of(samples: TrainingSamples) -> PeerSample:
    batch: PeerSample = default_collate([samples[position] for position in range(3)])
    return batch


def with_gradient(network: nn.Module) -> set[bool]:
    return {bool(p.grad is not None and p.grad.abs().sum() > 0) for p in network.parameters()}


def test_losses_at_given_logits_are_those_worked_out_by_hand() -> None:
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-3.0, 0.5])]
    assert float(discriminator_loss(real, fake, "hinge")) == 0.25 + 0.75
    assert float(generator_loss(fake, "hinge")) == 1.25
    squares = ((1 + 0.25) / 2 + (9 + 0.25) / 2) / 2
    assert float(discriminator_loss(real, fake, "least_squares")) == squares
    assert float(generator_loss(fake, "least_squares")) == (16 + 0.25) / 2


def test_two_discriminators_count_equally_whatever_the_size_of_their_maps() -> None:
    fake = [torch.full((8,), -1.0), torch.tensor([3.0])]
    assert float(generator_loss(fake, "hinge")) == -1.0


def test_feature_matching_is_the_mean_distance_and_pulls_at_syntheses_alone() -> None:
    real = [[torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([0.0])]]
    fake = [[torch.tensor([3.0, 2.0], requires_grad=True), torch.tensor([4.0])]]
    loss = feature_matching(real, fake)
    assert loss.item() == (1.0 + 4.0) / 2
    loss.backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


def test_pixels_without_a_class_have_a_channel_of_their_own() -> None:
    semantics = semantics_of(torch.tensor([[[0, 255], [2, 1]]]), 3)
    assert semantics.argmax(dim=1).tolist() == [[[0, 3], [2, 1]]]
    assert semantics.sum(dim=1).eq(1).all()


def test_spade_modulates_by_the_formula_of_the_paper() -> None:
    torch.manual_seed(0)
    layer, features = Spade(5, 3), torch.randn(2, 5, 4, 4)
    semantics = semantics_of(torch.randint(0, 2, (2, 8, 8)), 2)
    shared = F.relu(layer.shared(semantics[:, :, ::2, ::2]))
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = features.var(dim=(2, 3), keepdim=True, unbiased=False)
    expected = (features - mean) / (variance + 1e-5).sqrt()
    expected = expected * (1 + layer.gamma(shared)) + layer.beta(shared)
    torch.testing.assert_close(layer(features, semantics), expected)


def test_a_composed_convolution_is_a_convolution_with_the_kernel_of_each_pixel() -> None:
    torch.manual_seed(0)
    layer, features = ComposedConvolution(3, 2), torch.randn(1, 3, 4, 4)
    vectors = torch.randn(1, VECTOR, 4, 4)
    shares = layer.shares(vectors).softmax(dim=1)[0, :, 1, 2]
    kernels = layer.bank.weight.view(EXPERTS, 2, 3, 3, 3)
    kernel = torch.einsum("e,eoihw->oihw", shares, kernels)
    assert layer.bank.bias is not None
    bias = shares @ layer.bank.bias.view(EXPERTS, 2)
    expected = (kernel * features[0, :, 0:3, 1:4]).sum(dim=(1, 2, 3)) + bias
    torch.testing.assert_close(layer(features, vectors)[0, :, 1, 2], expected)


def test_each_discriminator_sees_the_image_at_half_the_size_of_the_one_before() -> None:
    said = Discriminators(3, 4, 2)(torch.randn(2, 3, 32, 32))
    assert [tuple(logits.shape) for logits in said.logits] == [(2, 1, 4, 4), (2, 1, 2, 2)]
    assert [len(features) for features in said.features] == [3, 3]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_generator_paints_images_of_the_labels_size_in_the_unit_range(
    system: str, peer: AdversarialParams, samples: TrainingSamples
) -> None:
    adversary = new_adversary(peer.model_copy(update={"system": system}), K)
    batch = batch_of(samples)
    image = adversary.generator(semantics_of(batch["label"], K), batch["synthesis_noise"])
    assert image.shape == batch["image"].shape == (3, 3, SIZE, SIZE)
    assert float(image.abs().max()) <= 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_turn_moves_its_own_network_and_leaves_no_gradient_in_the_other(
    system: str, peer: AdversarialParams, samples: TrainingSamples
) -> None:
    adversary = new_adversary(peer.model_copy(update={"system": system}), K)
    generator, discriminator = adversary.generator, adversary.discriminator
    batch = batch_of(samples)
    with held(discriminator):
        adversary.generator_losses(batch)["loss"].backward()
    # A bias before a normalisation changes nothing.
    assert True in with_gradient(generator)
    assert with_gradient(discriminator) == {False}
    generator.zero_grad(set_to_none=True)
    with held(generator):
        adversary.discriminator_losses(batch)["loss"].backward()
    assert with_gradient(generator) == {False}
    assert True in with_gradient(discriminator)
    assert all(p.requires_grad for p in [*generator.parameters(), *discriminator.parameters()])


@pytest.mark.parametrize("row", ["spade", "pix2pixhd", "sc-gan", "cyclegan", "maskformer"])
def test_the_study_says_how_many_weights_a_peer_has(row: str) -> None:
    found = read_row(f"robots-{row}", ROOT / ROWS_FILE).changes[PEER]
    counts = [weights_of(network) for network in networks_of(found)]
    [line] = [
        line
        for line in (ROOT / "docs/study.md").read_text("utf-8").splitlines()
        if line.lower().startswith(f"| {row} | ")
        if re.search(r"\d,\d{3}", line)
    ]
    assert [int(count.replace(",", "")) for count in re.findall(r"\d[\d,]*,\d{3}", line)] == counts


def networks_of(values: dict[str, Any]) -> list[nn.Module]:
    """What is trained of a peer of six classes, and what it is trained against."""
    if values["system"] == "maskformer":
        pytest.importorskip("transformers", reason="the extra `peers` is not installed")
        return [MaskFormer(MaskFormerParams.model_validate(values), 6)]
    adversary = new_adversary(AdversarialParams.model_validate(values), 6)
    return [adversary.generator, adversary.discriminator]


def test_an_image_is_mirrored_with_its_label(samples: TrainingSamples) -> None:
    count = len(samples.latents)
    pairs: dict[int, list[PeerSample]] = {}
    for position in range(4 * count):
        sample: PeerSample = samples[position]  # type: ignore[assignment]
        pairs.setdefault(int(sample["index"]), []).append(sample)
    mirrored = 0
    for first, *others in pairs.values():
        for other in others:
            same = torch.equal(first["image"], other["image"])
            assert same or torch.equal(first["image"].flip(2), other["image"])
            assert same == torch.equal(first["moments"], other["moments"])
            mirrored += not same
    assert mirrored
