"""How a checkpoint is solved in an evaluation, and what each way costs in network evaluations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semflow.evaluation.ranks import Team
from semflow.evaluation.system import EvaluatedSystem
from semflow.flow.solvers import DOPRI5


@dataclass(frozen=True)
class Sampler:
    """A solver and its number of steps.

    Args:
        solver: Name of one of the formulation's solvers.
        num_steps: Number of steps; None where the solver chooses them.
    """

    solver: str
    num_steps: int | None

    @property
    def key(self) -> str:
        """Its name in metrics.json: "euler-25" or "dopri5"."""
        return self.solver if self.num_steps is None else f"{self.solver}-{self.num_steps}"


def samplers_of(
    pipeline: EvaluatedSystem, numbers: Iterable[int], default: int, adaptive: bool
) -> list[Sampler]:
    """The checkpoint's solver with each number of steps, in order, and DOPRI5 where asked for.

    Args:
        pipeline: The checkpoint.
        numbers: Numbers of steps that params.yaml asks for.
        default: The checkpoint's own, which is among them in any case.
        adaptive: Whether DOPRI5 is asked for.
    """
    solver = pipeline.config.solver
    fixed = [Sampler(solver, number) for number in sorted({*numbers, default})]
    return [*fixed, Sampler(DOPRI5, None)] if adaptive else fixed


class Cost:
    """Counts the network evaluations of one sampler while solves run inside `with cost:`.

    Args:
        pipeline: The checkpoint, whose network is watched.
        sampler: How it is solved.
        team: The processes that share the batches.
    """

    def __init__(self, pipeline: EvaluatedSystem, sampler: Sampler, team: Team) -> None:
        self._field, self._team = pipeline.field, team
        self._tolerance = pipeline.config.tolerance if sampler.num_steps is None else None
        self._found: list[Tensor] = []

    def __enter__(self) -> None:
        self._evaluations = 0
        self._watch = self._field.register_forward_pre_hook(self._count)

    def __exit__(self, *_exception: object) -> None:
        self._watch.remove()
        self._found.append(torch.tensor(self._evaluations))

    def _count(self, _field: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # A batch of N counts N times: a sample that is solved alone costs as much as one among N.
        self._evaluations += len(inputs[0])

    def compute(self, samples: int) -> dict[str, float | None]:
        """Fields of SegmentationFigures and SynthesisFigures, from what all processes counted.

        Args:
            samples: How many were solved by all processes together.
        """
        total = int(torch.stack(self._team.in_order(self._found)).sum())
        return {"evaluations": total / samples, "tolerance": self._tolerance}
