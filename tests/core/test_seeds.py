from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semflow.core.seeds import spread


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
