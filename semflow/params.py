"""The schema of params.yaml: every key, its bounds and its unit. No key has a default."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from semflow.errors import UserError

PARAMS_FILE = Path("params.yaml")

Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
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

    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitStride(Block):
    """Distance between neighbouring tiles, in pixels of the imagery, for each split."""

    train: Positive
    val: Positive


class EarthIndex(Block):
    """How the planet is cut into tiles and split by longitude."""

    reader: Literal["earth"]
    tile_size: Positive = Field(description="side of a tile, pixels (1 pixel = 1/15 degree)")
    stride: SplitStride
    mode_filter: Positive = Field(description="side of the majority window over labels, pixels")
    latitudes: tuple[Latitude, Latitude] = Field(description="southern and northern bound, degrees")
    min_land: Fraction = Field(description="least share of a tile that is not water")
    block_degrees: Positive = Field(description="width of a longitude block, degrees")
    hold_out_every: int = Field(ge=2, description="blocks 0, n, 2n, ... are the val split")
    gap: int = Field(ge=0, description="pixels left out at both edges of a held-out block")
    max_rejects: int = Field(ge=0, description="samples that may be unreadable")


class Shards(Block):
    """How checked samples become WebDataset tars."""

    image_size: tuple[Positive, Positive] = Field(description="height and width, pixels")
    samples_per_shard: Positive


ClassOrder = Annotated[
    Literal["identity"] | tuple[Annotated[int, Field(ge=0)], ...],
    Field(description="class c takes colour number class_order[c] of the scheme"),
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
    encoder_blocks: int = Field(ge=0)
    decoder_channels: Positive
    decoder_blocks: int = Field(ge=0)
    seed: Seed
    steps: int = Field(ge=0)
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


class Train(Block):
    """Optimisation of the velocity field."""

    seed: Seed
    steps: Positive = Field(description="optimiser steps")
    batch_size: Positive = Field(description="samples a step over all processes")
    learning_rate: Rate
    schedule: Literal["constant", "linear", "cosine"] = Field(description="after warm-up")
    warmup_steps: int = Field(ge=0)
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

    model_config = ConfigDict(frozen=True, extra="forbid")

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
            raise UserError(f"unknown data set {name!r}; {_nearest(name, known)}")
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
        raise UserError(f"{source}: {_describe(error, values)}") from None


def _describe(error: ValidationError, values: object) -> str:
    first = error.errors(include_url=False)[0]
    # Pydantic names the chosen member of a union in the path; the file does not have that level.
    path = [part for part in first["loc"] if not _is_union_tag(part, first["loc"], values)]
    where = ".".join(map(str, path))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _allowed_keys(path[:-1], values)
        return f"unknown parameter {where}; {_nearest(str(path[-1]), known)}{more}"
    if first["type"] == "missing":
        return f"missing parameter {where}; add it{more}"
    return f"{where} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}{more}"


_TAGS = ("scheme", "source", "reader")


def _is_union_tag(part: object, loc: tuple[object, ...], values: object) -> bool:
    index = loc.index(part)
    block = _lookup(values, loc[:index])
    return isinstance(block, Mapping) and part in [block.get(tag) for tag in _TAGS]


def _lookup(values: Any, path: Sequence[Any]) -> Any:
    for part in path:
        known = isinstance(values, Mapping) and part in values
        if known or (isinstance(values, Sequence) and isinstance(part, int)):
            values = values[part]
    return values


def _allowed_keys(path: Sequence[Any], values: object) -> list[str]:
    model: Any = Params
    for depth, part in enumerate(path):
        annotation = model.model_fields[part].annotation
        members = getattr(annotation, "__args__", (annotation,))
        block = _lookup(values, path[: depth + 1])
        model = next((m for m in members if _fits(m, block)), members[0])
        if not hasattr(model, "model_fields"):
            return []
    return list(model.model_fields)


def _fits(model: Any, block: object) -> bool:
    if not hasattr(model, "model_fields") or not isinstance(block, Mapping):
        return False
    tags = [tag for tag in _TAGS if tag in model.model_fields and tag in block]
    return all(block[tag] in model.model_fields[tag].annotation.__args__ for tag in tags)


def _nearest(name: str, known: list[str]) -> str:
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if match:
        return f"did you mean {match[0]}?"
    return f"known are {', '.join(known)}"
