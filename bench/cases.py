"""What a row of `bench.speed` is made of."""

from __future__ import annotations

from dataclasses import dataclass

from bench.timing import Timed


@dataclass(frozen=True)
class Case:
    """One row of the table of ratios.

    Args:
        name: What is compared.
        limit: The least ratio that is good enough.
        done: As it is done.
        bare: The least that it has to do, or what others do.
        pairs: How often both are timed; None for as often as the command says.
    """

    name: str
    limit: float
    done: Timed
    bare: Timed
    pairs: int | None = None


@dataclass(frozen=True)
class Figure:
    """One row of the table of figures.

    Args:
        name: What was measured.
        limit: The most that is good enough.
        unit: Of both.
        value: What was found.
    """

    name: str
    limit: float
    unit: str
    value: float
