"""What each sample of a call draws from: a seed and its place, or a number out of a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from semflow.core.errors import UserError
from semflow.core.seeds import draws_at


class Draw(NamedTuple):
    """What one sample draws from: numbers of its own, whatever batch it stands in."""

    seed: int
    item: int


def seeded(seed: int, count: int) -> list[Draw]:
    """What N samples draw from by a seed and their places.

    Raises:
        UserError: The seed is beyond its bounds.
    """
    if not 0 <= seed < 2**63:
        raise UserError(f"the seed must be in 0 .. 2**63 - 1, got {seed}")
    return [Draw(seed, item) for item in range(count)]


def drawn(generator: torch.Generator | Sequence[torch.Generator] | None, count: int) -> list[Draw]:
    """What N samples draw from: one number out of a generator for each.

    Args:
        generator: One for all in turn, one for each, or torch's own where None.
        count: N.

    Raises:
        UserError: Another number of generators.
    """
    each = [generator] * count if not isinstance(generator, Sequence) else list(generator)
    if len(each) != count:
        raise UserError(f"got {len(each)} generators for {count} pictures; give one, or one each")
    return [Draw(_number(one), 0) for one in each]


def item_generators(items: Sequence[int], seed: int) -> list[torch.Generator]:
    """A CPU generator for each item, by (seed, item) alone."""
    # Beside the perturbation's draws of the same item and not equal to them.
    seeds = [int(draws_at(seed, item).integers(2**62)) for item in items]
    return [torch.Generator().manual_seed(number) for number in seeds]


def _number(generator: torch.Generator | None) -> int:
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**63 - 1, (), generator=generator, device=device))
