"""Parameters of a peer: which system, its size, learning rates and the weights of its losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from semflow.params.fields import Block, Positive, PositiveFloat, Seed, StageParams
from semflow.training.schema import OptimiserParams

Weight = Annotated[float, Field(ge=0)]


class AdversarialParams(Block):
    """A generator and a discriminator that are trained in turn."""

    system: Literal["spade", "pix2pixhd", "sc_gan", "cycle_gan"]
    seed: Seed = Field(description="of its first weights")
    width: Positive = Field(description="channels of the generator's finest features")
    levels: Positive = Field(description="halvings between patches of 4 pixels and the coarsest")
    noise_width: Positive = Field(description="numbers that a synthesis draws, where it draws any")
    discriminator_width: Positive = Field(description="channels of its first layer")
    discriminators: Positive = Field(description="scales, each half of the one before")
    loss: Literal["hinge", "least_squares"] = Field(description="of real against synthesized")
    generator_learning_rate: PositiveFloat
    discriminator_learning_rate: PositiveFloat
    adversarial_weight: Weight
    feature_matching_weight: Weight = Field(description="of the discriminator's inner features")
    reconstruction_weight: Weight = Field(description="L1 to the image, or of CycleGAN's cycles")


class MaskFormerParams(Block):
    """MaskFormer with random first weights."""

    system: Literal["maskformer"]
    seed: Seed = Field(description="of its first weights")
    embed_dim: Positive = Field(description="channels of Swin's first stage")
    depths: tuple[Positive, ...] = Field(min_length=4, max_length=4, description="Swin's blocks")
    heads: tuple[Positive, ...] = Field(min_length=4, max_length=4, description="Swin's heads")
    width: int = Field(gt=0, multiple_of=32, description="channels of both decoders")
    decoder_layers: Positive
    queries: Positive = Field(description="masks proposed for an image")
    learning_rate: PositiveFloat


PeerParams = Annotated[AdversarialParams | MaskFormerParams, Field(discriminator="system")]


class PeerStage(StageParams):
    """What a training of one peer reads: the system, and all of `train` but its learning rate."""

    peer: PeerParams
    train: OptimiserParams
