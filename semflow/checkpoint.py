"""What a checkpoint folder must hold before anything in it is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import safe_open
from torch import nn

from semflow.core.errors import UserError
from semflow.core.files import read_json
from semflow.core.seals import check_seal
from semflow.networks.sources import WEIGHTS
from semflow.params.fields import Fraction, Positive, PositiveFloat
from semflow.params.messages import describe_misfit

INDEX = "model_index.json"

Levels = tuple[float, float, float]
DisplayLevel = Annotated[int, Field(ge=0, le=255)]
Names = tuple[str, str]
PARTS: dict[str, tuple[Names, ...]] = {
    "vae": (
        ("diffusers", "AutoencoderKL"),
        ("semflow.networks.autoencoder", "PatchAutoencoder"),
    ),
    "unet": (("diffusers", "UNet2DConditionModel"),),
    "null_prompt": (("semflow.networks.null_prompt", "NullPrompt"),),
    "statistics": (("semflow.networks.statistics", "LatentStatistics"),),
    "ends": (("semflow.networks.ends", "Ends"),),
}
"""Module and class that each component may name."""


class CheckpointIndex(BaseModel):
    """The file model_index.json; its defaults are what checkpoints of earlier versions leave out.

    Fields are those of `SemFlowPipeline`, in the same units.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    class_: Literal["SemFlowPipeline"] = Field(alias="_class_name")
    vae: Names
    unet: Names
    null_prompt: Names
    statistics: Names | tuple[None, None] = (None, None)
    ends: Names | tuple[None, None] = (None, None)
    anchors: Annotated[tuple[Levels, ...], Field(min_length=1, max_length=255)]
    ignore_color: Levels
    amplitude: float = Field(ge=0)
    noise_cells: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1,)
    noise_shares: tuple[Fraction, ...] = (1.0,)
    latent_noise: float = Field(default=0.0, ge=0)
    class_names: tuple[str, ...]
    class_colors: tuple[tuple[DisplayLevel, DisplayLevel, DisplayLevel], ...]
    image_size: tuple[Positive, Positive]
    segment_steps: Positive = 1
    synthesize_steps: Positive = 25
    last_step_from: float | None = Field(default=None, gt=0, lt=1)
    grid_power: PositiveFloat = 1.0
    tolerance: PositiveFloat = 1e-5
    padding_mode: Literal["zeros", "reflect", "replicate"] = "zeros"

    @model_validator(mode="after")
    def _lists_agree(self) -> Self:
        classes = len(self.anchors)
        for name in ("class_names", "class_colors"):
            if (count := len(getattr(self, name))) != classes:
                raise ValueError(f"{name} has {count} items, anchors {classes}")
        shares = self.noise_shares
        if len(shares) != len(self.noise_cells) or abs(sum(shares) - 1) > 1e-6:
            raise ValueError("noise_shares must be as many as noise_cells and add up to 1")
        for name, known in PARTS.items():
            if (named := getattr(self, name)) not in (*known, (None, None)):
                raise ValueError(f"{name} is of class {'.'.join(named)[:80]}; known are {known}")
        return self

    def parts(self) -> list[str]:
        """Names of the components that the checkpoint has."""
        return [name for name in PARTS if getattr(self, name) != (None, None)]


def check_checkpoint(folder: Path) -> CheckpointIndex:
    """Holds a checkpoint folder's index and files against what this version loads.

    Raises:
        UserError: The index does not fit, or a component lacks its configuration or weights, or
            names weights elsewhere, or a file is not as it was sealed.
    """
    check_seal(folder)
    values = read_json(folder / INDEX)
    try:
        index = CheckpointIndex.model_validate(values)
    except ValidationError as error:
        misfit = describe_misfit(error, values, CheckpointIndex)
        raise UserError(f"{folder / INDEX}: {misfit}; train it anew") from None
    for name in index.parts():
        part = folder / name
        # Where a file is absent, diffusers would ask a hub for one of that name.
        for path in (part / "config.json", part / WEIGHTS):
            if not path.is_file():
                raise UserError(f"{path} is missing; dvc checkout or dvc repro train makes it")
        if others := sorted(part.glob("*.index.*json")):
            raise UserError(f"{others[0]} names other weights than {WEIGHTS}; remove it")
        named = read_json(part / "config.json")
        expected = getattr(index, name)[1]
        if not isinstance(named, dict) or named.get("_class_name") != expected:
            raise UserError(f"{part / 'config.json'} is of no {expected}; train it anew")
    return index


def check_tensors(network: nn.Module, folder: Path) -> None:
    """Holds a loaded network against its file: what is missing there would be random numbers.

    Raises:
        UserError: The file lacks a tensor, holds one that the network does not have, or holds
            numbers that are not finite.
    """
    expected = set(network.state_dict())
    with safe_open(folder / WEIGHTS, framework="pt") as weights:
        found = set(weights.keys())
    if odd := sorted(expected ^ found):
        what = "lacks" if odd[0] in expected else "has an unexpected"
        raise UserError(
            f"{folder / WEIGHTS} {what} tensor {odd[0][:80]!r} ({len(odd)} in all); train it anew"
        )
    if not _is_finite(network):
        raise UserError(f"{folder} has weights that are not finite; train it anew")


def _is_finite(network: nn.Module) -> bool:
    # One pass without copies; a sum of finite float32 numbers is finite in float64.
    sums = (weights.detach().sum(dtype=torch.float64) for weights in network.parameters())
    return math.isfinite(sum(map(float, sums)))
