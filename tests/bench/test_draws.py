from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import draws
from semflow.core.labels import mirror
from semflow.core.seeds import draws_at
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import color_planes, make_palette
from semflow.pseudo_masks.schema import BaseKPalette
from semflow.pseudo_masks.uniform import uniform_noise
from tools.closure import ROOT

GENERATORS = (np.random.Philox, np.random.PCG64, np.random.MT19937)
seeds = st.integers(0, 2**40)
shapes = st.lists(st.integers(0, 9), min_size=1, max_size=3)
labels = st.builds(
    lambda seed, height, width, ids: np.random.default_rng(seed).choice(
        np.array(ids, np.uint8), (height, width)
    ),
    seeds,
    st.integers(1, 9),
    st.integers(1, 9),
    st.lists(st.one_of(st.integers(0, 18), st.just(255)), min_size=1, max_size=9),
)


def same_bytes(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@given(seeds, shapes, st.integers(0, 3), st.sampled_from(GENERATORS))
def test_noise_of_many_words_is_that_of_single_draws_and_leaves_the_same_generator(
    seed: int, shape: list[int], before: int, kind: type[np.random.BitGenerator]
) -> None:
    one, other = (np.random.Generator(kind(seed)) for _ in range(2))  # type: ignore[call-arg]
    for generator in (one, other):
        generator.random(before, dtype=np.float32)
    expected = other.random(shape, dtype=np.float32) * 2 - 1
    assert same_bytes(uniform_noise(one, shape), expected)
    for _ in range(2):
        assert one.random(dtype=np.float32) == other.random(dtype=np.float32)
    assert one.standard_normal() == other.standard_normal()


@pytest.mark.parametrize("count", [2**17 - 1, 2**17, 2**17 + 1, 2**18 + 3])
@pytest.mark.parametrize("before", [0, 1])
def test_noise_is_the_same_where_words_come_in_several_parts(count: int, before: int) -> None:
    one, other = draws_at(3, 4), draws_at(3, 4)
    for generator in (one, other):
        generator.random(before, dtype=np.float32)
    expected = other.random(count, dtype=np.float32) * 2 - 1
    assert same_bytes(uniform_noise(one, (count,)), expected)
    assert one.random() == other.random()


@given(seeds, st.lists(st.sampled_from([0.0, 0.25, 0.3, 1.0]), min_size=1, max_size=3))
def test_noise_of_several_grains_is_the_plain_sum_of_its_shares(
    seed: int, shares: list[float]
) -> None:
    cells = (1, 3, 16)[: len(shares)]
    plain = draws_at(seed, 0)
    parts = [Noise(6.0, (cell,), (1.0,)).draw(plain, (7, 5)) for cell in cells]
    weighted = [share * part for share, part in zip(shares, parts, strict=True)]
    expected = np.sum(weighted, axis=0, dtype=np.float32)
    found = Noise(6.0, cells, tuple(shares)).draw(draws_at(seed, 0), (7, 5))
    # A share of 0 may turn a zero's sign, which nothing that is added to it ever shows.
    assert same_bytes(found + 0.0, expected + 0.0)


@given(labels)
def test_colours_and_flips_by_tables_are_the_plain_formulas(label: NDArray[np.uint8]) -> None:
    params = BaseKPalette(
        scheme="base_k", k=6, spacing=50, class_order=(), ignore_color=(255, 255, 255)
    )
    palette = make_palette(params, 19)
    colors = palette.color_table()
    assert same_bytes(palette.colorize(label), colors[label])
    assert same_bytes(color_planes(label, colors), draws.plain_planes(label, colors))
    mirrored = tuple(reversed(range(19)))
    assert same_bytes(mirror(label, mirrored), draws.plain_mirror(label, mirrored))


def test_a_whole_sample_is_timed_in_both_ways_and_is_the_same(tmp_path: Path) -> None:
    plain, done = draws.parts(tmp_path)["the whole sample, read from its shards"]
    one, other = plain(), done()
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["pseudo_mask"].shape == (3, *draws.SIZE)


def test_the_docs_have_every_row_that_the_command_prints(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert all(f"| {name} |" in text for name in draws.parts(tmp_path))
