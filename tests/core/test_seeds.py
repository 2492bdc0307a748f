from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semflow.core.seeds import draws_at, sample_at, spread, steps_at

seeds = st.integers(0, 2**63 - 1)


@given(seeds, st.integers(1, 60), st.integers(0, 1000))
def test_every_epoch_holds_every_sample_exactly_once(seed: int, count: int, epoch: int) -> None:
    positions = range(epoch * count, (epoch + 1) * count)
    assert sorted(sample_at(seed, position, count) for position in positions) == list(range(count))


@given(seeds, st.integers(1, 40), st.lists(st.integers(0, 400), min_size=1, max_size=30))
def test_a_position_holds_the_same_sample_in_whatever_order_it_is_asked_for(
    seed: int, count: int, positions: list[int]
) -> None:
    forward = {position: sample_at(seed, position, count) for position in sorted(positions)}
    for position in positions:
        sample_at(seed + 1, position, count)
        assert sample_at(seed, position, count) == forward[position]


@given(seeds, st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_draws_at_a_position_are_the_same_in_any_order_of_access(
    seed: int, positions: list[int]
) -> None:
    forward = {position: draws_at(seed, position).random(3).tolist() for position in positions}
    for position in reversed(positions):
        assert draws_at(seed, position).random(3).tolist() == forward[position]


def test_epochs_seeds_and_positions_differ() -> None:
    epochs = [tuple(sample_at(0, e * 20 + i, 20) for i in range(20)) for e in range(20)]
    assert len(set(epochs)) == 20
    assert len({tuple(sample_at(seed, i, 20) for i in range(20)) for seed in range(20)}) == 20
    assert len({draws_at(s, p).random() for s in range(20) for p in range(100)}) == 2000


def test_the_order_and_the_draws_have_nothing_in_common() -> None:
    for number in range(10):
        order = [sample_at(1, number * 30 + i, 30) for i in range(30)]
        assert all(draws_at(1, p).permutation(30).tolist() != order for p in range(25))


@given(seeds, st.integers(0, 2**40))
def test_what_a_step_shares_is_another_stream_than_draws_and_order(seed: int, number: int) -> None:
    step = steps_at(seed, number).random()
    assert steps_at(seed, number).random() == step
    assert step not in (draws_at(seed, number).random(), steps_at(seed, number + 1).random())
    order = [sample_at(seed, number * 30 + i, 30) for i in range(30)]
    assert steps_at(seed, number).permutation(30).tolist() != order


def test_every_sample_is_first_about_equally_often() -> None:
    firsts = np.bincount([sample_at(0, epoch * 4, 4) for epoch in range(4000)], minlength=4)
    # Four standard deviations of a binomial count with p = 1/4.
    assert np.abs(firsts - 1000).max() < 4 * np.sqrt(4000 * 3 / 16)


def test_draws_are_uniform_across_positions() -> None:
    draws = np.array([draws_at(5, position).random() for position in range(4000)])
    assert abs(draws.mean() - 0.5) < 4 / np.sqrt(12 * 4000)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / np.sqrt(4000)


def test_positions_are_spread_evenly_from_end_to_end() -> None:
    assert spread(7, 3) == [0, 3, 6]
    assert spread(4, 4) == spread(4, 9) == [0, 1, 2, 3]


@given(st.integers(1, 5000), st.integers(1, 50))
def test_positions_differ_and_span_everything(count: int, wanted: int) -> None:
    positions = spread(count, wanted)
    assert len(positions) == min(count, wanted)
    assert positions == sorted(set(positions))
    assert positions[0] == 0
    assert positions[-1] == count - 1 or wanted == 1
