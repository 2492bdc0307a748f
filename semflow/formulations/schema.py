"""Block `flow`: what is learned, where t is drawn, and the terms of the loss."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from semflow.params.fields import Block, Fraction, Positive, PositiveFloat

DDIM, DDPM = "ddim", "ddpm"
BRIDGE, BRIDGE_DDIM = "bridge", "bridge_ddim"
_ADAPTIVE = "dopri5"
_SOLVERS = ("euler", "midpoint", "heun", _ADAPTIVE)
SAMPLERS = {
    "semflow": _SOLVERS,
    "dsm": (DDIM, DDPM),
    "dsm_v": (DDIM, DDPM),
    "symmflow": _SOLVERS,
    "bbdm": (BRIDGE, BRIDGE_DDIM),
}
"""How each formulation is solved, the usual way first; here since reading params takes no torch."""
WAYS = {
    "semflow": (True, True),
    "dsm": (True, False),
    "dsm_v": (True, False),
    "symmflow": (True, True),
    "bbdm": (False, True),
}
"""Whether each one segments, and whether it synthesizes; here for the same reason."""
_NOT_PATH = {"probability_at_image": 0, "probability_at_mask": 0, "t_power": 1}
_OF_SEMFLOW = {
    "bridge_noise": 0,
    "own_states": None,
    "preconditioning": None,
    "anchor_loss_weight": 0,
    "correction_weight": 0,
}
"""Values that say nothing about another formulation, and what they must be there."""


def check_solver(formulation: str, solver: str) -> None:
    """Whether a checkpoint of a formulation can be solved so by default, in a number of steps.

    Args:
        formulation: A key of SAMPLERS.
        solver: The value of `inference.solver`.

    Raises:
        ValueError: It cannot.
    """
    known = [name for name in SAMPLERS[formulation] if name != _ADAPTIVE]
    if solver not in known:
        raise ValueError(
            f"{formulation} is solved by {', '.join(known)}, and inference.solver is {solver}"
        )


class PreconditioningParams(Block):
    """The closed-form part of the velocity, and the scale of what is left to the backbone."""

    samples: Positive = Field(description="of the training order, to estimate covariances from")
    loss_power: Fraction = Field(description="residuals are divided by their scale to this power")


class OwnStatesParams(Block):
    """Draws between the ends that start from where the flow itself gets, and lead to the mask."""

    share: Fraction = Field(description="of the draws between the ends")
    until: Fraction = Field(description="largest t; the draws between the ends are scaled to it")
    max_steps: Positive = Field(description="Euler steps there: 1 .. max_steps, each as often")


class FlowParams(Block):
    """What is learned: the path, where t is drawn, and the terms of the loss."""

    formulation: Literal["semflow", "dsm", "dsm_v", "symmflow", "bbdm"] = Field(
        description="a name in FORMULATIONS"
    )
    probability_at_image: Fraction = Field(description="share of draws with t = 0 exactly")
    probability_at_mask: Fraction = Field(description="share of draws with t = 1 exactly")
    t_power: PositiveFloat = Field(
        description="between the ends t = u ** t_power; above 1 denser at the image; the paper: 1"
    )
    bridge_noise: float = Field(
        ge=0, description="deviation of noise on the path, times sqrt(t (1 - t)); the paper: 0"
    )
    own_states: OwnStatesParams | None = Field(description="null: only points on the path")
    standardise_ends: bool = Field(description="both ends to deviation 1 in each channel")
    posterior: Literal["sample", "mode"] = Field(description="what x_0 is drawn as in training")
    ignored: Literal["supervised", "masked"] = Field(
        description="pixels without a class: a colour like any other, or out of the loss"
    )
    padding_mode: Literal["zeros", "reflect", "replicate"] = Field(
        description="what the network's convolutions see beyond the border; the release: zeros"
    )
    preconditioning: PreconditioningParams | None = Field(description="null: the backbone alone")
    velocity_loss_weight: PositiveFloat = Field(description="of Eq. 10")
    anchor_loss_weight: float = Field(ge=0, description="of the cross-entropy over anchors")
    anchor_states: Literal["image", "own", "all"] = Field(
        description="where it is asked: at t = 0; at own states too; at every t below 1"
    )
    correction_weight: float = Field(
        ge=0, description="of its gradient in the velocity's target; the paper: 0"
    )
    anchor_temperature: PositiveFloat = Field(
        description="of that cross-entropy, squared [-1, 1] units"
    )

    @model_validator(mode="after")
    def _is_a_distribution(self) -> Self:
        if (total := self.probability_at_image + self.probability_at_mask) > 1:
            raise ValueError(f"probability_at_image + probability_at_mask = {total:g} exceeds 1")
        if self.anchor_states == "own" and self.own_states is None:
            raise ValueError("anchor_states: own needs own_states")
        if max(self.anchor_loss_weight, self.correction_weight) > 0 and self.anchor_share == 0:
            raise ValueError(
                "no draw is asked for the anchor loss or its correction; raise probability_at_image"
            )
        return self

    @model_validator(mode="after")
    def _leaves_out_what_the_formulation_does_not_know(self) -> Self:
        fixed = {
            "semflow": {},
            "dsm": {**_OF_SEMFLOW, **_NOT_PATH},
            "dsm_v": {**_OF_SEMFLOW, **_NOT_PATH},
            "symmflow": _OF_SEMFLOW,
            "bbdm": {**_OF_SEMFLOW, **_NOT_PATH},
        }[self.formulation]
        for name, value in fixed.items():
            if (found := getattr(self, name)) != value:
                shown = "null" if value is None else value
                raise ValueError(f"{self.formulation} takes {name}: {shown}, got {found}")
        return self

    @property
    def anchor_share(self) -> float:
        """The expected share of draws at which the anchor loss is asked."""
        between = 1 - self.probability_at_image - self.probability_at_mask
        own = 0.0 if self.own_states is None else self.own_states.share * between
        return (
            self.probability_at_image
            + {"image": 0.0, "own": own, "all": between}[self.anchor_states]
        )
