"""The schema of params.yaml: every key, its bounds and its unit. No key has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semflow.errors import UserError
from semflow.misfits import describe_misfit, nearest_name

PARAMS_FILE = Path("params.yaml")

Positive = Annotated[int, Strict(), Field(ge=1)]
NonNegative = Annotated[int, Strict(), Field(ge=0)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Rate = Annotated[float, Field(gt=0)]
Steps = Annotated[tuple[Positive, ...], Field(min_length=1)]
Color = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]


class Block(BaseModel):
    """A group of parameters: immutable, and no key beside the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitStride(Block):
    """Distance between neighbouring tiles, in pixels of the imagery, for each split."""

    train: Positive
    val: Positive


class EarthIndex(Block):
    """How the planet is cut into tiles and split by longitude."""

    reader: Literal["earth"]
    tile_size: Positive = Field(description="side of a tile, pixels (1 pixel = 1/15 degree)")
    stride: SplitStride
    mode_filter: Positive = Field(description="odd side of the majority window, pixels")
    latitudes: tuple[Latitude, Latitude] = Field(description="southern and northern bound, degrees")
    min_land: Fraction = Field(description="least share of a tile that is not water")
    block_degrees: Positive = Field(description="width of a longitude block, degrees")
    hold_out_every: int = Field(ge=2, description="blocks 0, n, 2n, ... are the val split")
    gap: NonNegative = Field(description="pixels left out at both edges of a held-out block")
    max_rejects: NonNegative = Field(description="samples that may be unreadable")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.latitudes[0] >= self.latitudes[1]:
            raise ValueError(f"latitudes go from south to north, got {self.latitudes}")
        if self.mode_filter % 2 == 0:
            raise ValueError(f"mode_filter must be odd, got {self.mode_filter}")
        return self


class Shards(Block):
    """How checked samples become WebDataset tars."""

    image_size: tuple[Positive, Positive] = Field(description="height and width, pixels")
    samples_per_shard: Positive


ClassOrder = Annotated[
    tuple[NonNegative, ...],
    Field(description="class c takes the scheme's colour class_order[c]; empty: colour c"),
]


class BaseKPalette(Block):
    """Anchors counted in base k with spacing s (Eq. 7)."""

    scheme: Literal["base_k"]
    class_order: ClassOrder
    k: Positive = Field(description="divisions of the colour range, Eq. 7")
    spacing: Rate = Field(description="s in Eq. 7, grey levels")
    amplitude: float = Field(ge=0, description="beta in Eq. 14, grey levels")
    ignore_color: Color


class SpreadPalette(Block):
    """Anchors as far from each other as the RGB cube allows."""

    scheme: Literal["spread"]
    class_order: ClassOrder
    amplitude: float = Field(ge=0, description="beta in Eq. 14, grey levels")
    ignore_color: Color


PaletteParams = Annotated[BaseKPalette | SpreadPalette, Field(discriminator="scheme")]


class FolderSource(Block):
    """Weights in a local folder, pinned by the sha256 of their safetensors file."""

    source: Literal["folder"]
    path: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class HubSource(Block):
    """Weights of a model hub, pinned by revision."""

    source: Literal["hub"]
    repo_id: str
    revision: str
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
    learning_rate: Rate
    image_loss_weight: Rate = Field(description="of the images' squared error; the masks' is 1")
    color_loss_weight: float = Field(ge=0, description="cross-entropy over a map's own colours")
    color_temperature: Rate = Field(description="of that cross-entropy, squared [-1, 1] units")
    latent_noise: float = Field(ge=0, description="standard deviation added to raw latents")
    log_every: Positive = Field(description="steps")


AutoencoderParams = Annotated[
    FolderSource | HubSource | ScratchAutoencoder, Field(discriminator="source")
]


class ScratchBackbone(Block):
    """A UNet2DConditionModel of convolutions with random initial weights."""

    source: Literal["scratch"]
    block_out_channels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    layers_per_block: Positive
    attention_head_dim: Positive = Field(description="of the middle block, channels")
    norm_num_groups: Positive
    seed: Seed


BackboneParams = Annotated[
    FolderSource | HubSource | ScratchBackbone, Field(discriminator="source")
]


class Latents(Block):
    """How latents are computed ahead of training."""

    batch_size: Positive = Field(description="images encoded at once; part of the result's bytes")
    mask_noise: Literal["online"] = Field(description="how Eq. 14 meets the cache")


class Flow(Block):
    """What is learned: the path, where t is drawn, and the terms of the loss."""

    formulation: Literal["semflow"]
    probability_at_image: Fraction = Field(description="share of draws with t = 0 exactly")
    probability_at_mask: Fraction = Field(description="share of draws with t = 1 exactly")
    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")
    velocity_loss_weight: Rate = Field(description="of Eq. 10")
    anchor_loss_weight: float = Field(ge=0, description="of the cross-entropy over anchors")
    anchor_temperature: Rate = Field(description="of that cross-entropy, squared [-1, 1] units")

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if (total := self.probability_at_image + self.probability_at_mask) > 1:
            raise ValueError(f"probability_at_image + probability_at_mask = {total:g} exceeds 1")
        return self


class Train(Block):
    """Optimisation of the velocity field."""

    seed: Seed
    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="samples a step over all processes")
    learning_rate: Rate
    schedule: Literal["constant", "linear", "cosine"] = Field(description="after warm-up")
    warmup_steps: NonNegative
    adam_betas: tuple[Fraction, Fraction]
    weight_decay: float = Field(ge=0)
    max_grad_norm: Rate
    ema_decay: Fraction
    mixed_precision: Literal["no", "bf16", "fp16"]
    sample_every: Positive = Field(description="steps between sample grids")
    log_every: Positive = Field(description="steps between log lines")


class Inference(Block):
    """What a checkpoint does when it is not told otherwise."""

    solver: Literal["euler", "heun", "midpoint"]
    segment_steps: Positive = Field(description="solver steps from image to mask")
    synthesize_steps: Positive = Field(description="solver steps from mask to image")


class Baseline(Block):
    """The discriminative U-Net beside the flow; size and samples seen are the flow's own."""

    seed: Seed
    learning_rate: Rate


class Evaluate(Block):
    """Both directions over the val split."""

    seed: Seed
    samples: Positive = Field(description="val samples, spread evenly; all where fewer exist")
    batch_size: Positive
    segmentation_steps: Steps = Field(description="numbers of solver steps measured")
    synthesis_steps: Steps = Field(description="numbers of solver steps measured")
    diversity_samples: int = Field(ge=2, description="syntheses of one label, for diversity")
    diversity_labels: Positive = Field(description="labels that diversity is measured on")


class Report(Block):
    """The HTML page."""

    examples: Positive = Field(description="val samples shown")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        description="of the syntheses shown for each"
    )


class DatasetParams(Block):
    """Everything one data set's road from raw files to report depends on."""

    index: EarthIndex
    shards: Shards
    palette: PaletteParams
    autoencoder: AutoencoderParams
    backbone: BackboneParams
    latents: Latents
    flow: Flow
    train: Train
    inference: Inference
    baseline: Baseline
    evaluate: Evaluate
    report: Report

    @model_validator(mode="after")
    def _defaults_are_measured(self) -> Self:
        for default, measured in (
            (self.inference.segment_steps, self.evaluate.segmentation_steps),
            (self.inference.synthesize_steps, self.evaluate.synthesis_steps),
        ):
            if default not in measured:
                raise ValueError(f"inference uses {default} steps, evaluate measures {measured}")
        return self


class Params(BaseModel):
    """The whole of params.yaml.

    `recipes` are named override sets: recipe -> data set -> a partial block. They are validated
    when `semflow use` merges them, against the block they override.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    datasets: tuple[Literal["earth"], ...] = Field(min_length=1)
    recipes: dict[str, dict[str, dict[str, Any]]]
    earth: DatasetParams

    def dataset(self, name: str) -> DatasetParams:
        """The block of one data set.

        Raises:
            UserError: there is no such data set.
        """
        known = [field for field in type(self).model_fields if field not in _NOT_DATASETS]
        if name not in known:
            raise UserError(f"unknown data set {name!r}; {nearest_name(name, known)}")
        block: DatasetParams = getattr(self, name)
        return block


_NOT_DATASETS = ("datasets", "recipes")


def read_params(path: Path = PARAMS_FILE) -> Params:
    """Reads and validates a parameter file.

    Raises:
        UserError: the file is absent, is not YAML, or does not fit the schema.
    """
    try:
        values = YAML(typ="safe").load(path)
    except FileNotFoundError:
        raise UserError(f"{path} not found; run from the repository's root") from None
    except YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    return validate_params(values, path.name)


def validate_params(values: object, source: str) -> Params:
    """Holds plain values against the schema.

    Args:
        values: what a YAML parser returned.
        source: named in errors, for instance "params.yaml".

    Raises:
        UserError: naming the first misfit: where, what came, what is allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{source}: {describe_misfit(error, values, Params)}") from None
