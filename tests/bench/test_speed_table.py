from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import speed
from bench.speed_cases import Case, cases, decoded_mask
from bench.timing import compare, ratio_of
from semflow.core.files import read_json
from semflow.networks.anchors import anchor_distances, nearest_anchor
from tools.closure import ROOT


def test_the_page_says_what_the_committed_results_say() -> None:
    page = (ROOT / speed.PAGE).read_text("utf-8")
    assert speed.with_table(page, read_json(ROOT / speed.RESULTS)) == page


def test_every_case_runs_has_its_row_and_its_limit(tmp_path: Path) -> None:
    found = list(cases(tmp_path))
    rows = read_json(ROOT / speed.RESULTS)["rows"]
    assert {case.name: case.limit for case in found} == {
        name: row["limit"] for name, row in rows.items()
    }
    for case in found:
        case.done()
        case.bare()


def test_the_anchors_that_are_timed_are_the_same() -> None:
    colors, image = decoded_mask()
    expected = anchor_distances(image.double(), colors.double()).argmin(dim=1)
    assert torch.equal(nearest_anchor(image, colors).long(), expected)


def test_a_ratio_is_the_median_of_pairs_timed_in_turn() -> None:
    calls: list[str] = []
    ratio = compare(lambda: calls.append("done"), lambda: calls.append("bare"), 3)
    assert calls == ["done", "bare", "bare", "done", "done", "bare", "bare", "done"]
    assert ratio.pairs == 3
    assert ratio.low <= ratio.median <= ratio.high
    assert ratio_of([2.0, 1.0, 4.0]).median == 2.0
    alike = ratio_of([1.5] * 9)
    assert (alike.low, alike.median, alike.high) == (1.5, 1.5, 1.5)


@pytest.mark.parametrize(("median", "code"), [(0.4, 1), (0.6, 0)])
def test_the_command_writes_results_and_table_and_fails_below_a_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    median: float,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    speed.PAGE.write_text(f"# A page\n\n{speed.BEGIN}\nold\n{speed.END}\n\nThe rest.\n", "utf-8")
    case = Case("one / other", 0.5, lambda: None, lambda: None)
    monkeypatch.setattr(speed, "cases", lambda _folder: [case])
    monkeypatch.setattr(speed, "compare", lambda *_: ratio_of([median]))
    monkeypatch.setattr("sys.argv", ["speed", "--pairs", "1"])
    assert speed.main() == code
    page = speed.PAGE.read_text("utf-8")
    row = f"| one / other | 0.5 | {median:.2f} <sub>[{median:.2f}, {median:.2f}]</sub> |"
    assert row in page
    assert "old" not in page
    assert page.endswith(f"{speed.END}\n\nThe rest.\n")
    assert row in capsys.readouterr().out
    assert read_json(speed.RESULTS)["rows"]["one / other"]["median"] == median
