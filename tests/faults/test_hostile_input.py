"""Readers that are fed sound and hostile inputs, altered anyhow: `make test-faults`.

The same targets for longer, guided by coverage: `python -m bench.fuzz`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fuzz_targets import TARGETS, execute, seeds_of

pytestmark = pytest.mark.faults

SLOW = ("recipe", "overrides", "revision", "report", "names", "params", "block")
EXAMPLES, EXAMPLES_OF_SLOW = 300, 40


@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_refuses_its_own_hostile_examples(target: str, tmp_path: Path) -> None:
    for seed in seeds_of(target):
        execute(target, seed, tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_a_reader_refuses_whatever_its_examples_become(
    target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(target)
    seeds = list(seeds_of(target))
    slow = target in SLOW or TARGETS[target].module == "models"

    @settings(max_examples=EXAMPLES_OF_SLOW if slow else EXAMPLES)
    @given(
        st.sampled_from(seeds), st.integers(0, 2**16), st.integers(0, 64), st.binary(max_size=64)
    )
    def feed(seed: bytes, start: int, removed: int, inserted: bytes) -> None:
        at = start % (len(seed) + 1)
        execute(target, seed[:at] + inserted + seed[at + removed :], folder)

    feed()
