"""Each system as a pair of networks, and what each of the two minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semflow.peers.cycle_gan import CycleDiscriminators, CycleGenerators, cycle_loss
from semflow.peers.layers import Discriminators, Judgement, semantics_of
from semflow.peers.losses import discriminator_loss, feature_matching, generator_loss
from semflow.peers.pix2pixhd import Pix2PixHDGenerator
from semflow.peers.samples import PeerSample
from semflow.peers.sc_gan import SCGenerator
from semflow.peers.schema import AdversarialParams
from semflow.peers.spade import SpadeGenerator

Losses = dict[str, Tensor]
"""Scalars by name; "loss" is the one that is minimised."""


class Adversary(Protocol):
    """Two networks against each other."""

    @property
    def generator(self) -> nn.Module:
        """Makes images of labels."""
        ...

    @property
    def discriminator(self) -> nn.Module:
        """Tells them from real ones."""
        ...

    def generator_losses(self, batch: PeerSample) -> Losses:
        """What the generator minimises while the discriminator is held."""
        ...

    def discriminator_losses(self, batch: PeerSample) -> Losses:
        """What the discriminator minimises; no gradient reaches the generator."""
        ...


@dataclass(frozen=True)
class PairedAdversary:
    """A generator that learns from images with their labels: SPADE, pix2pixHD, SC-GAN.

    Args:
        generator: (semantics, noise) -> image.
        discriminator: judges semantics and image together.
        params: weights of the losses.
        num_classes: K.
    """

    generator: nn.Module
    discriminator: nn.Module
    params: AdversarialParams
    num_classes: int

    def generator_losses(self, batch: PeerSample) -> Losses:
        """Adversarial loss, feature matching and L1 to the image."""
        semantics, own = semantics_of(batch["label"], self.num_classes), self.params
        synthesis = self.generator(semantics, batch["synthesis_noise"])
        said = self._judge(semantics, synthesis)
        with torch.no_grad():
            real = self._judge(semantics, batch["image"])
        adversarial = generator_loss(said.logits, own.loss)
        matching = feature_matching(real.features, said.features)
        reconstruction = F.l1_loss(synthesis, batch["image"])
        total = (
            own.adversarial_weight * adversarial
            + own.feature_matching_weight * matching
            + own.reconstruction_weight * reconstruction
        )
        return {
            "loss": total,
            "adversarial": adversarial,
            "feature_matching": matching,
            "reconstruction": reconstruction,
        }

    def discriminator_losses(self, batch: PeerSample) -> Losses:
        """Real images against syntheses of the same labels."""
        semantics = semantics_of(batch["label"], self.num_classes)
        with torch.no_grad():
            synthesis = self.generator(semantics, batch["synthesis_noise"])
        real, fake = (self._judge(semantics, image) for image in (batch["image"], synthesis))
        return {"loss": discriminator_loss(real.logits, fake.logits, self.params.loss)}

    def _judge(self, semantics: Tensor, image: Tensor) -> Judgement:
        return cast(Judgement, self.discriminator(torch.cat([semantics, image], dim=1)))


@dataclass(frozen=True)
class CycleAdversary:
    """CycleGAN's two generators against its two discriminators.

    Args:
        generator: both generators.
        discriminator: both discriminators.
        params: weights of the losses.
        num_classes: K.
    """

    generator: CycleGenerators
    discriminator: CycleDiscriminators
    params: AdversarialParams
    num_classes: int

    def generator_losses(self, batch: PeerSample) -> Losses:
        """Both adversarial losses and both cycles."""
        image, semantics, own = batch["image"], self._unpaired(batch), self.params
        cycles = self.generator.cycles(image, semantics)
        images, labels = self.discriminator(cycles.painted, cycles.read)
        adversarial = generator_loss(images, own.loss) + generator_loss(labels, own.loss)
        reconstruction = cycle_loss(cycles, image, semantics)
        total = own.adversarial_weight * adversarial + own.reconstruction_weight * reconstruction
        return {"loss": total, "adversarial": adversarial, "reconstruction": reconstruction}

    def discriminator_losses(self, batch: PeerSample) -> Losses:
        """Real images and semantics against what the generators make."""
        image, semantics = batch["image"], self._unpaired(batch)
        with torch.no_grad():
            painted, read = self.generator(semantics, image), self.generator.read(image)
        real, fake = self.discriminator(image, semantics), self.discriminator(painted, read)
        terms = [
            discriminator_loss(a, b, self.params.loss) for a, b in zip(real, fake, strict=True)
        ]
        return {"loss": torch.stack(terms).sum()}

    def _unpaired(self, batch: PeerSample) -> Tensor:
        return semantics_of(batch["label"].roll(1, dims=0), self.num_classes)


def new_generator(params: AdversarialParams, num_classes: int) -> nn.Module:
    """A system's generator with random weights by torch's global generator."""
    semantics, width, levels = num_classes + 1, params.width, params.levels
    if params.system == "spade":
        return SpadeGenerator(semantics, width, levels, params.noise_width)
    if params.system == "sc_gan":
        return SCGenerator(semantics, width, levels, params.noise_width)
    if params.system == "pix2pixhd":
        return Pix2PixHDGenerator(semantics, width, levels)
    return CycleGenerators(semantics, width, levels)


def new_adversary(params: AdversarialParams, num_classes: int) -> Adversary:
    """A system with random weights, which follow from its seed alone.

    Args:
        params: which system, its size and losses.
        num_classes: K.
    """
    semantics, width, count = num_classes + 1, params.discriminator_width, params.discriminators
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        generator = new_generator(params, num_classes)
        if isinstance(generator, CycleGenerators):
            judges = CycleDiscriminators(semantics, width, count)
            return CycleAdversary(generator, judges, params, num_classes)
        judge = Discriminators(semantics + 3, width, count)
        return PairedAdversary(generator, judge, params, num_classes)
