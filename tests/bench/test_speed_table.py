from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import speed
from bench.cases import Case, Figure
from bench.speed_cases import Sizes, cases, decoded_mask
from bench.speed_scale import distance_memory, figures, peak_of_distances
from bench.timing import compare, ratio_of
from semflow.core.files import read_json
from semflow.networks.anchors import anchor_distances, nearest_anchor
from tools.closure import ROOT


def test_the_page_says_what_the_committed_results_say() -> None:
    page = (ROOT / speed.PAGE).read_text("utf-8")
    assert speed.with_table(page, read_json(ROOT / speed.RESULTS)) == page


def test_every_case_runs_has_its_row_and_its_limit(tmp_path: Path) -> None:
    rows = read_json(ROOT / speed.RESULTS)["rows"]
    found = {}
    for case in cases(tmp_path, Sizes(side=64, in_a_tar=2, images=3, mask_side=32)):
        case.done()
        case.bare()
        # The size is in one name.
        found[case.name.replace("32 x 32", "128 x 128")] = case.limit
    assert found == {name: row["limit"] for name, row in rows.items()}


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


@pytest.mark.parametrize(("median", "value", "code"), [(0.4, 1.1, 1), (0.6, 1.3, 1), (0.6, 1.1, 0)])
def test_the_command_writes_results_and_table_and_fails_below_a_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    median: float,
    value: float,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    speed.PAGE.write_text(f"# A page\n\n{speed.BEGIN}\nold\n{speed.END}\n\nThe rest.\n", "utf-8")
    case = Case("one / other", 0.5, lambda: None, lambda: None)
    monkeypatch.setattr(speed, "cases", lambda _folder: [case])
    monkeypatch.setattr(speed, "compare", lambda *_: ratio_of([median]))
    monkeypatch.setattr(speed, "figures", lambda _folder: [Figure("memory", 1.2, "times", value)])
    monkeypatch.setattr("sys.argv", ["speed", "--pairs", "1"])
    assert speed.main() == code
    page = speed.PAGE.read_text("utf-8")
    row = f"| one / other | 0.5 | {median:.2f} <sub>[{median:.2f}, {median:.2f}]</sub> |"
    assert row in page
    assert f"| memory | 1.2 times | {value:.2f} |" in page
    assert "old" not in page
    assert page.endswith(f"{speed.END}\n\nThe rest.\n")
    assert row in capsys.readouterr().out
    assert read_json(speed.RESULTS)["rows"]["one / other"]["median"] == median


def test_memory_of_distances_is_counted_beside_their_inputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A process of its own: one block of the kernel in float64 is 8 MB.
    assert 8 < peak_of_distances(1024) < 400
    peaks = {10: 100.0, 20: 110.0}
    monkeypatch.setattr("bench.speed_scale.peak_of_distances", peaks.__getitem__)
    found = distance_memory(20)
    assert (found.value, found.limit, found.unit) == (1.1, 1.2, "times")


@pytest.mark.heavy
def test_every_figure_of_full_scale_has_its_row_and_its_limit(tmp_path: Path) -> None:
    rows = read_json(ROOT / speed.RESULTS)["figures"]
    found = {}
    for one in figures(tmp_path, samples=2_000, features=200):
        name = one.name.replace("2,000 sim", "118,287 sim").replace("/ 200", "/ 11,828")
        found[name.replace("200 images / 100", "20,000 images / 10,000")] = one.limit
        assert one.value > 0
    assert found == {name: row["limit"] for name, row in rows.items()}
