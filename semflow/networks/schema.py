"""Blocks about networks: where an autoencoder and a backbone come from, and their shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from semflow.core.errors import UserError
from semflow.params.fields import Block, NonNegative, Positive, PositiveFloat, Seed, StageParams


def check_factor(image_size: Sequence[int], factor: int) -> None:
    """Accepts images that an autoencoder divides into whole latents.

    Args:
        image_size: Height and width, pixels.
        factor: Pixels of the image for one of the latents, along either side.

    Raises:
        UserError: A side is no multiple of the factor.
    """
    if any(side % factor for side in image_size):
        raise UserError(
            f"shards.image_size {tuple(image_size)} is no multiple of {factor}, "
            "the autoencoder's factor; change it in params.yaml"
        )


class FolderSource(Block):
    """Weights in a local folder, pinned by the sha256 of their safetensors file."""

    source: Literal["folder"]
    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    config_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of config.json")


class HubSource(Block):
    """Weights of a model hub, pinned by revision."""

    source: Literal["hub"]
    repo_id: str
    revision: str = Field(
        pattern="^[0-9a-f]{40}$", description="a commit; a branch or tag may move"
    )
    subfolder: str


class ScratchAutoencoder(Block):
    """A patch autoencoder trained on the train split's images and randomly coloured labels."""

    source: Literal["scratch"]
    patch_size: Positive = Field(description="pixels a side, the factor between image and latents")
    latent_channels: Positive
    encoder_channels: Positive
    encoder_blocks: NonNegative
    decoder_channels: Positive
    decoder_blocks: NonNegative
    seed: Seed
    steps: NonNegative
    batch_size: Positive = Field(description="images, and as many coloured label maps")
    learning_rate: PositiveFloat
    image_loss_weight: PositiveFloat = Field(
        description="of the images' squared error; the masks' is 1"
    )
    color_loss_weight: float = Field(ge=0, description="cross-entropy over a map's own colours")
    color_temperature: PositiveFloat = Field(
        description="of that cross-entropy, squared [-1, 1] units"
    )
    latent_noise: float = Field(ge=0, description="standard deviation added to raw latents")
    log_every: Positive = Field(description="steps")


AutoencoderParams = Annotated[
    FolderSource | HubSource | ScratchAutoencoder, Field(discriminator="source")
]


class NetworkShape(Block):
    """A UNet2DConditionModel of convolutions."""

    block_out_channels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    layers_per_block: Positive
    attention_head_dim: Positive = Field(description="of the middle block, channels")
    norm_num_groups: Positive

    @model_validator(mode="after")
    def _groups_divide_channels(self) -> Self:
        if odd := [width for width in self.block_out_channels if width % self.norm_num_groups]:
            raise ValueError(
                f"norm_num_groups {self.norm_num_groups} does not divide the {odd[0]} channels "
                "of a block"
            )
        return self


class ScratchBackbone(NetworkShape):
    """Such a network with random initial weights."""

    source: Literal["scratch"]
    seed: Seed


BackboneParams = Annotated[
    FolderSource | HubSource | ScratchBackbone, Field(discriminator="source")
]


class AutoencoderStage(StageParams):
    """What stage `autoencoder` reads."""

    autoencoder: AutoencoderParams


class BackboneStage(StageParams):
    """What stage `backbone` reads."""

    backbone: BackboneParams
