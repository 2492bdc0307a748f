from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semflow.core.errors import UserError
from semflow.inference.windows import windows_over


@settings(max_examples=25)
@given(
    canvas=st.tuples(st.integers(4, 20), st.integers(6, 20)),
    overlap=st.floats(0, 0.9),
    scales=st.sampled_from([(1, 1), (2, 1), (1, 3)]),
)
def test_windows_cover_every_cell_overlap_enough_and_change_nothing_that_is_local(
    canvas: tuple[int, int], overlap: float, scales: tuple[int, int]
) -> None:
    window = (4, 6)
    windows = windows_over(canvas, window, overlap)
    for starts, side, extent in zip((windows.tops, windows.lefts), window, canvas, strict=True):
        assert starts[0] == 0
        assert starts[-1] == extent - side
        stride = max(1, int(side * (1 - overlap)))
        assert all(0 < b - a <= stride for a, b in pairwise(starts))
    before, after = scales

    def local(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[2:] == (before * window[0], before * window[1])
        x = x[..., ::before, ::before]
        return 2 * x.repeat_interleave(after, 2).repeat_interleave(after, 3) + 1

    x = torch.rand(2, 3, before * canvas[0], before * canvas[1])
    coarse = x[..., ::before, ::before]
    expected = 2 * coarse.repeat_interleave(after, 2).repeat_interleave(after, 3) + 1
    torch.testing.assert_close(windows.over(local)(x), expected)


def test_two_windows_are_mixed_linearly_where_they_overlap() -> None:
    windows = windows_over((1, 6), (1, 4), 0.5)
    assert windows.lefts == (0, 2)
    answers = iter([torch.zeros(1, 1, 1, 4), torch.ones(1, 1, 1, 4)])
    mixed = windows.over(lambda _: next(answers))(torch.zeros(1, 1, 1, 6))
    # In the two shared cells the first weighs 0.75, 0.25 and the second 0.25, 0.75.
    torch.testing.assert_close(mixed[0, 0, 0], torch.tensor([0, 0, 0.25, 0.75, 1, 1]))


def test_a_single_window_is_the_function_itself() -> None:
    function = torch.nn.Conv2d(1, 1, 3, padding=1)
    assert windows_over((4, 4), (4, 4), 0.25).over(function) is function


@pytest.mark.parametrize("overlap", [-0.1, 1.0, float("nan")])
def test_an_overlap_that_is_no_share_is_refused(overlap: float) -> None:
    with pytest.raises(UserError, match=r"must be a share of a window in \[0, 1\), got"):
        windows_over((8, 8), (4, 4), overlap)
